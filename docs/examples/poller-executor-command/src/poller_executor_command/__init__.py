"""An executor for poller: a command for each invocation, the event on its stdin, the answer on its stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.plugins import Wrong, strangers
from poller_executor_command.executor import CommandExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from poller.plugins import Executor, PluginFunction

__all__ = ["CommandExecutor", "check", "make"]


def make(function: PluginFunction) -> Executor:
    """What the entry point promises. Its options have passed `check`."""
    return CommandExecutor(function)


def check(options: Mapping[str, object], folder: Path) -> Iterator[Wrong]:
    """What is wrong with the keys of a function, all of it at once."""
    del folder  # relative programs are found when they are started: they may come with a later deployment
    yield from strangers(options, ("command", "environment"))
    yield from _command(options)
    yield from _environment(options.get("environment", {}))


def _command(options: Mapping[str, object]) -> Iterator[Wrong]:
    if "command" not in options:
        yield Wrong(("command",), 'missing key "command", for example command: [./handle.sh]')
        return
    words = options["command"]
    if not isinstance(words, list) or not words:
        yield Wrong(("command",), '"command" must be a list of words: [./handle.sh, --fast]')
        return
    for index, word in enumerate(words):
        if not isinstance(word, str) or not word or "\0" in word:
            yield Wrong(("command", index), 'an item of "command" must be text, put it in quotes: "..."')


def _environment(variables: object) -> Iterator[Wrong]:
    if not isinstance(variables, dict):
        yield Wrong(("environment",), '"environment" must be a mapping (NAME: value)')
        return
    for name, value in variables.items():
        if not name or "=" in name or not isinstance(value, str) or "\0" in name + value:
            yield Wrong(("environment", name), 'an item of "environment" must be NAME: text')

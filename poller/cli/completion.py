"""`poller completion`: what a shell needs to complete our commands, made of the commands themselves."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from poller.cli.exits import EX_OK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.cli import Commands

_DESCRIPTION = """\
Prints a script that lets a shell complete the commands and options of poller, and file names where they belong.
"""

_EPILOG = """\
examples:
  poller completion bash > ~/.local/share/bash-completion/completions/poller
  poller completion zsh > ~/.zfunc/_poller        with fpath+=(~/.zfunc) before compinit in ~/.zshrc
  poller completion fish > ~/.config/fish/completions/poller.fish
  source <(poller completion bash)                in this shell only

exit codes:
   0  the script is on stdout
   2  the command line is wrong
"""

_PATHS = frozenset({"FILE", "OUTPUT", "TEMPLATE"})
"""What values are called that are files or folders."""


def add_to(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for bash, zsh or fish",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    parser.set_defaults(command=partial(_completion, commands))


def _completion(commands: Commands, arguments: argparse.Namespace) -> int:
    known = list(described(commands))
    match arguments.shell:
        case "bash":
            lines = bash(known)
        case "zsh":
            lines = zsh(known)
        case _:
            lines = fish(known)
    print("\n".join(lines))
    return EX_OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An option, or (without names) what a command takes beside them.

    Attributes:
        names: `-c` and `--config`.
        metavar: what its value is called; empty: it takes none.
        choices: its values; none: any.
        path: its value is a file or folder.
    """

    names: tuple[str, ...]
    metavar: str
    choices: tuple[str, ...]
    path: bool
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command and what it takes."""

    name: str
    help: str
    arguments: tuple[Argument, ...]

    @property
    def options(self) -> tuple[str, ...]:
        """All spellings of all options."""
        return tuple(name for argument in self.arguments for name in argument.names)

    @property
    def operands(self) -> tuple[Argument, ...]:
        """What it takes beside options, in order."""
        return tuple(argument for argument in self.arguments if not argument.names)


def described(commands: Commands) -> Iterator[Command]:
    """The commands of a parser. argparse has no public way to look at one."""
    helps = {action.dest: action.help or "" for action in commands._choices_actions}  # noqa: SLF001
    for name, parser in commands.choices.items():
        known = {argument.names or argument.metavar: argument for argument in map(_argument, _actions(parser))}
        yield Command(name=name, help=helps.get(name, ""), arguments=tuple(known.values()))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What a command takes; of one with subcommands also the options and files that these take, at any place."""
    for action in parser._actions:  # noqa: SLF001
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                yield from (inner for inner in _actions(each) if inner.option_strings or inner.metavar in _PATHS)


def _argument(action: argparse.Action) -> Argument:
    metavar = "" if action.nargs == 0 else str(action.metavar or action.dest)
    return Argument(
        names=tuple(action.option_strings),
        metavar=metavar,
        choices=tuple(map(str, action.choices or ())),
        path=metavar in _PATHS,
        help=(action.help or "").replace("\n", " "),
    )


# ------------------------------------------------------------------------------------------------------------------------ bash


def bash(commands: list[Command]) -> Iterator[str]:
    """A function for `complete -F`."""
    yield "# bash completion for poller: made by `poller completion bash`"
    yield "_poller() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]}"'
    yield "    COMPREPLY=()"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f"        {_words([*(command.name for command in commands), '--help', '--version'])}"
    yield "        return"
    yield "    fi"
    yield '    case "$command:$before" in'
    for command in commands:
        for argument in command.arguments:
            if argument.names and argument.metavar:
                patterns = "|".join(f"{command.name}:{name}" for name in argument.names)
                yield f"        {patterns}) {_values(argument)}; return ;;"
    yield "    esac"
    yield '    case "$command" in'
    for command in commands:
        yield f"        {command.name})"
        yield '            if [[ "$word" == -* ]]; then'
        yield f"                {_words(command.options)}"
        yield "            else"
        yield f"                {_operands(command)}"
        yield "            fi ;;"
    yield "    esac"
    yield "}"
    yield "complete -o filenames -F _poller poller"


def _words(words: list[str] | tuple[str, ...]) -> str:
    return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(words)}" -- "$word")'


def _values(argument: Argument) -> str:
    if argument.choices:
        return _words(argument.choices)
    return 'mapfile -t COMPREPLY < <(compgen -f -- "$word")' if argument.path else ":"


def _operands(command: Command) -> str:
    """Any of its operands at any place: bash does not count them for us. Files of a subcommand come after its name."""
    choices = [choice for argument in command.operands for choice in argument.choices]
    files = 'mapfile -t COMPREPLY < <(compgen -f -- "$word")' if any(argument.path for argument in command.operands) else ":"
    if choices and files != ":":
        return f'if [ "$COMP_CWORD" -eq 2 ]; then {_words(choices)}; else {files}; fi'
    return _words(choices) if choices else files


# ------------------------------------------------------------------------------------------------------------------------- zsh


def zsh(commands: list[Command]) -> Iterator[str]:
    """A function for `compinit`, which also works where it is sourced."""
    yield "#compdef poller"
    yield "# zsh completion for poller: made by `poller completion zsh`"
    yield "_poller() {"
    yield "    local -a commands"
    yield "    commands=("
    for command in commands:
        yield f"        {_quoted(f'{command.name}:{command.help}')}"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then"
    yield "        _describe -t commands command commands"
    yield "        _arguments '--help[show help]' '--version[show the version]'"
    yield "        return"
    yield "    fi"
    yield '    local command="${words[2]}"'
    yield "    shift words"
    yield "    (( CURRENT-- ))"
    yield '    case "$command" in'
    for command in commands:
        yield f"        {command.name})"
        yield "            _arguments " + " ".join(_quoted(spec) for argument in command.arguments for spec in _specs(argument))
        yield "            ;;"
    yield "    esac"
    yield "}"
    yield 'if [ "$funcstack[1]" = "_poller" ]; then _poller "$@"; else compdef _poller poller; fi'


def _specs(argument: Argument) -> Iterator[str]:
    action = f"({' '.join(argument.choices)})" if argument.choices else "_files" if argument.path else ""
    message = argument.metavar.replace(":", " ")
    if not argument.names:
        yield f"::{message}:{action}"
    for name in argument.names:
        help_ = argument.help.replace("\\", "\\\\").replace("[", r"\[").replace("]", r"\]").replace(":", r"\:")
        yield f"*{name}[{help_}]" + (f":{message}:{action}" if argument.metavar else "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ------------------------------------------------------------------------------------------------------------------------ fish


def fish(commands: list[Command]) -> Iterator[str]:
    """One `complete` for each thing."""
    yield "# fish completion for poller: made by `poller completion fish`"
    yield "complete -c poller -f"
    yield "complete -c poller -n __fish_use_subcommand -l help -d 'show help'"
    yield "complete -c poller -n __fish_use_subcommand -l version -d 'show the version'"
    for command in commands:
        yield f"complete -c poller -n __fish_use_subcommand -a {command.name} -d {_escaped(command.help)}"
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        for argument in command.arguments:
            yield f"complete -c poller {seen}{_flags(argument)}"


def _flags(argument: Argument) -> str:
    named = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in argument.names)
    values = f" -a {_escaped(' '.join(argument.choices))}" if argument.choices else ""
    files = " -F" if argument.path else ""
    needed = " -r" if argument.names and argument.metavar else ""
    return f"{named}{needed}{files}{values} -d {_escaped(argument.help or argument.metavar)}"


def _escaped(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

"""Questions about failure destinations that no service of AWS is: URLs and files. Nothing is posted or written."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from poller.check.remote import listens

if TYPE_CHECKING:
    from poller.check.finding import Finding, Subject
    from poller.config.destination import OnFailure


async def ask_outward(target: OnFailure, about: Subject) -> list[Finding]:
    """Whether a URL or a file could take reports now."""
    if target.kind == "file":
        return [await asyncio.to_thread(judge_file, target.path, about)]
    where, trouble = await listens(target.named, target.ca_file, allow_link_local=target.allow_link_local)
    return [trouble(about) if trouble else about.ok(f"destination {where} takes connections; posting is not tried")]


def judge_file(path: Path, about: Subject) -> Finding:
    """Whether a line could be added to a file, which need not be there."""
    text, path = f"destination {path}", Path(os.path.realpath(path))  # a link's files stand where it leads
    folder = path.parent
    if not folder.is_dir():
        return about.failed(f"{text}: there is no folder {folder}", "create it, writable for poller's user")
    if not os.access(folder, os.W_OK | os.X_OK):
        return about.failed(f"{text}: files in {folder} cannot be made or renamed", "let poller's user write there")
    return _judge_itself(path, about, text)


def _judge_itself(path: Path, about: Subject, text: str) -> Finding:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return about.ok(f"{text} can be made; writing is not tried")
    except OSError as error:
        return about.failed(f"{text}: {error.strerror}", "correct the path")
    if not stat.S_ISREG(mode):
        return about.failed(f"{text} is no regular file", "name a file")
    if not os.access(path, os.R_OK | os.W_OK):
        return about.failed(f"{text} cannot be read and written", "let poller's user do both")
    return about.ok(f"{text} can be added to; writing is not tried")

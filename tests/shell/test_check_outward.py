"""What `poller check` makes of failure destinations that no service of AWS is."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from support.rie import served

from poller.check.finding import Subject
from poller.check.outward import ask_outward, judge_file
from poller.config.destination import OnFailure

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web


async def answer(_: web.Request) -> web.Response:
    raise AssertionError("nothing is to be posted")


async def found(destination: str) -> str:
    (finding,) = await ask_outward(OnFailure.model_validate({"destination": destination}), Subject("mapping m"))
    assert (finding.level == "ok") == (finding.remedy == "")
    return f"{finding.level}: {finding.text}"


async def test_a_url_where_somebody_listens_is_not_posted_to() -> None:
    async with served(answer) as url:
        where = url.removeprefix("http://")
        assert await found(f"{url}/failed") == f"ok: destination {where} takes connections; posting is not tried"


async def test_a_url_where_nobody_listens_is_a_failure() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{held.getsockname()[1]}"
        assert (await found(f"http://{where}/")).startswith(f"failed: no connection to {where}: ")


async def test_a_file_is_looked_at_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    assert await found(f"file://{path}") == f"ok: destination {path} can be made; writing is not tried"
    assert not path.exists()
    path.write_text("{}\n")
    assert await found(f"file://{path}") == f"ok: destination {path} can be added to; writing is not tried"
    assert path.read_text() == "{}\n"


async def test_what_cannot_be_written_to_is_a_failure(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert await found(f"file://{missing}/f") == f"failed: destination {missing}/f: there is no folder {missing}"
    (tmp_path / "link").symlink_to(missing / "f")
    assert await found(f"file://{tmp_path}/link") == f"failed: destination {tmp_path}/link: there is no folder {missing}"
    os.mkfifo(tmp_path / "pipe")
    assert await found(f"file://{tmp_path}/pipe") == f"failed: destination {tmp_path}/pipe is no regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_others_own_is_a_failure(tmp_path: Path) -> None:
    path, about = tmp_path / "failed", Subject("mapping m")
    path.touch(mode=0o400)
    assert judge_file(path, about).text == f"destination {path} cannot be read and written"
    tmp_path.chmod(0o500)
    assert "cannot be made or renamed" in judge_file(tmp_path / "other", about).text
    tmp_path.chmod(0o700)

"""Fifteen ways to die, on every executor that has processes: what each is called, what is counted, that nothing is left."""

from __future__ import annotations

import tempfile
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from functions.room import FUNCTIONS, MARK, Recorder, Room, open_descriptors
from structlog.testing import capture_logs
from support.build import attempt
from support.install_servers import node
from support.observing import scrape

from poller.clock import SystemClock
from poller.core.model import Errored, Returned
from poller.core.response import read
from poller.executors.process import ProcessExecutor, ProcessSpec
from poller.observe.function import FunctionObserver
from poller.observe.metrics import Metrics
from poller.observe.outcomes import outcome_label
from poller.observe.redact import redact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping

    from _pytest.mark import ParameterSet

    from poller.core.model import Answer


@dataclass(frozen=True, kw_only=True)
class Death:
    """A way to die.

    Attributes:
        fault: what the function is asked to do; or, ending in `_error`, how it dies while it is initialised, once.
        event: what else it is told.
        seconds: until the deadline.
        outcome: the value of that label of `poller_invocations_total`.
        error: type of the error, and a part of its message; None: it answers.
        worker: how its worker ends; None: it lives on.
    """

    fault: str
    event: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 20.0
    outcome: str = "success"
    error: tuple[str, str] | None = None
    worker: str | None = None


def crash(fault: str, text: str, **event: Any) -> Death:
    return Death(fault=fault, event=event, outcome="crash", error=("Runtime.ExitError", text), worker="crash")


def too_late(fault: str) -> Death:
    error = ("Sandbox.Timedout", "Task timed out after 0.40 seconds")
    return Death(fault=fault, seconds=0.4, outcome="timeout", error=error, worker="timeout")


def failed(fault: str, error_type: str, text: str, worker: str | None = None) -> Death:
    return Death(fault=fault, outcome="function_error", error=(error_type, text), worker=worker)


DEATHS = [
    crash("exits", "exit status 3", status=3),
    crash("kills_itself", "signal: killed"),
    Death(fault="allocates", outcome="oom", error=("Runtime.OutOfMemory", "signal: killed"), worker="oom"),
    too_late("hangs"),
    too_late("ignores_sigterm"),
    too_late("forks_and_hangs"),
    too_late("sleeps"),
    crash("closes_its_socket", "it closed its connection"),
    Death(fault="floods_stdout", event={"bytes": 100_000_000}),
    failed("answers_seven_megabytes", "Function.ResponseSizeTooLarge", "exceeded maximum allowed payload size"),
    crash("talks_junk", "it sent what is no answer"),
    Death(fault="answers_junk", outcome="partial"),
    failed("init_error", "ValueError", "no", worker="crash"),
    failed("import_error", "Runtime.ImportModuleError", "nothing_of_this_name", worker="crash"),
    Death(fault="prints_secrets"),
]
EXECUTORS: dict[str, dict[str, Any]] = {
    "light": {"handler": "deaths.handler"},
    "awslambdaric": {"handler": "deaths.handler", "runtime_client": "awslambdaric"},
    "node": {"handler": "deaths.handler", "runtime": "nodejs", "code": FUNCTIONS / "node"},
    "provided": {"handler": "", "runtime": "provided", "code": FUNCTIONS / "deaths_in_shell"},
}
UNHARMED = Death(fault="talks_junk")
OTHERWISE: dict[tuple[str, str], Death | None] = {
    # Its answer still arrives, over a new connection; then it is never heard of again.
    ("awslambdaric", "closes_its_socket"): Death(fault="closes_its_socket", seconds=1.0, worker="timeout"),
    # Over HTTP junk is refused, and has a connection of its own.
    **dict.fromkeys([("awslambdaric", "talks_junk"), ("node", "talks_junk"), ("provided", "talks_junk")], UNHARMED),
    # awslambdaric ends when it is told that its answer was too large.
    ("awslambdaric", "answers_seven_megabytes"): failed(
        "answers_seven_megabytes", "Function.ResponseSizeTooLarge", "exceeded maximum allowed payload size", worker="crash"
    ),
    ("node", "closes_its_socket"): crash("closes_its_socket", "signal: aborted"),
    ("node", "import_error"): failed("import_error", "Error", "nothing-of-this-name", worker="crash"),
    ("node", "answers_junk"): None,  # its client writes JSON, whatever it is given
    ("provided", "closes_its_socket"): None,  # it has none open while it works
    ("provided", "import_error"): None,  # it is one file
}
"""Where an executor has another way, or no such one (None)."""

QUICK = {("light", fault) for fault in ("allocates", "answers_junk", "import_error", "prints_secrets")}
"""Not slow; of the others of the light worker test_process_faults has many."""


def cases() -> Iterator[ParameterSet]:
    for name in EXECUTORS:
        for death in DEATHS:
            case = OTHERWISE.get((name, death.fault), death)
            if case is not None:
                marks = () if (name, death.fault) in QUICK else pytest.mark.slow
                yield pytest.param(name, case, id=f"{name}-{death.fault}", marks=marks)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary folders are made in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@asynccontextmanager
async def observed(name: str, metrics: Metrics, **environment: str) -> AsyncIterator[Room]:
    """An executor of that name, which must leave nothing behind: no process, descriptor, socket or file."""
    mark, descriptors = uuid.uuid4().hex, open_descriptors()
    settings: dict[str, Any] = {"code": FUNCTIONS, "node": str(node())} | EXECUTORS[name]
    spec = ProcessSpec(name="mortal", environment={MARK: mark, **environment}, **settings)
    async with ProcessExecutor(spec, FunctionObserver(metrics, "mortal"), SystemClock()) as executor:
        room = Room(executor, Recorder(), mark)
        yield room
    assert room.processes() == []
    assert open_descriptors() == descriptors
    assert list(Path(tempfile.gettempdir()).iterdir()) == []  # noqa: ASYNC240 - nothing waits for it


def described(answer: Answer) -> tuple[str, str]:
    """Type and message of the error that it must be."""
    assert isinstance(answer, Errored), answer
    error = orjson.loads(answer.payload)
    return error["errorType"], error["errorMessage"]


def ends(metrics: Metrics) -> dict[str, float]:
    """Why workers have ended, and how many."""
    found = (each for each in scrape(metrics).samples if each.name == "poller_worker_restarts_total" and each.value)
    return {each.labels["reason"]: each.value for each in found}


@pytest.mark.parametrize(("name", "death"), list(cases()))
async def test_each_death_is_called_by_its_name_is_counted_and_leaves_nothing_to_the_next_invocation(
    name: str, death: Death, temporary: Path
) -> None:
    metrics, once = Metrics(), temporary.with_name(f"{temporary.name}-once")
    if death.fault.endswith("_error"):
        once.write_text(death.fault)
    with capture_logs(processors=[redact]) as log:
        async with observed(name, metrics, DIES_ONCE=str(once)) as room:
            answer = await room.invoke(death.fault, seconds=death.seconds, **death.event)
            after = await room.invoke()
            assert isinstance(after, Returned), after
            assert ends(metrics) == ({} if death.worker is None else {death.worker: 1})
    assert outcome_label(read(answer, attempt(1), report_batch_item_failures=True)) == death.outcome
    if death.error is None:
        assert isinstance(answer, Returned), answer
    else:
        error_type, text = described(answer)
        assert (error_type, death.error[1] in text) == (death.error[0], True), text
    LOGGED.get(death.fault, anything)([line for line in log if line["event"] == "function"])


def anything(_: list[MutableMapping[str, Any]]) -> None: ...


def a_little(log: list[MutableMapping[str, Any]]) -> None:
    """What is left of a flood: a megabyte, and how much is missing."""
    lines = [line["line"] for line in log]
    assert 900_000 < sum(map(len, lines)) <= 1024 * 1024 + 100
    assert lines[-1].endswith(" bytes of output dropped)")


def no_secret(log: list[MutableMapping[str, Any]]) -> None:
    text = str(log)
    assert "hunter2" not in text
    assert [text.count(each) for each in ("redis://admin:***@cache", "'password': '***'", "me:***@example", "redis://:***@")] == [
        1,
        1,
        1,
        1,
    ]


LOGGED = {"floods_stdout": a_little, "prints_secrets": no_secret}
"""What the log must hold of it."""

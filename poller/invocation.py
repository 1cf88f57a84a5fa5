"""One invocation of a configured function, through its own executor and without a daemon: as `aws lambda invoke` shows it.

The lines of the function's log go to whoever is given, as they come; in between stand Lambda's own (START, END, REPORT).
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import TextIOBase
from math import ceil
from typing import TYPE_CHECKING, Final, Literal, assert_never

from poller import interrupt
from poller.compose import arn_of
from poller.config import InlineFunctionConfig, ProcessFunctionConfig
from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import NO_FIGURES, Errored, Invocation, Refused, Returned, TooLarge
from poller.function import new_request_id
from poller.wiring import Worker, executor

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from poller.config import Config
    from poller.core.model import Answer, Figures
    from poller.ports import Clock, Executor, Rng, WorkerCount, WorkerEnd

TAIL_BYTES: Final = 4096
"""Of the log, in LogResult."""

NO_ACCOUNT: Final = "000000000000"
NO_REGION: Final = "us-east-1"
"""In the ARN of a function that no mapping names."""

MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to invoke, and who is told what it writes to its log: whole lines, without their ends.

    Attributes:
        function: a name under `functions`.
        event: JSON.
        say: called in the main thread or, for an inline handler, in the handler's.
    """

    function: str
    event: bytes
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an invocation ended.

    Attributes:
        answer: of the executor.
        log: the end of the log, `TAIL_BYTES` at the most.
    """

    answer: Answer
    log: bytes

    @property
    def payload(self) -> bytes | None:
        """The function's answer, or its error object; None where the function was never asked."""
        return self.answer.payload if isinstance(self.answer, (Returned, Errored)) else None

    @property
    def reason(self) -> str:
        """Why the function was not asked; empty where it was."""
        match self.answer:
            case Returned() | Errored():
                return ""
            case TooLarge():
                return f"the event has {self.answer.size:,} bytes, a function takes {MAX_EVENT_BYTES:,}"
            case Refused():
                return self.answer.detail or self.answer.reason
        assert_never(self.answer)

    def status(self, *, with_log: bool) -> dict[str, object]:
        """What the Invoke API says beside the payload of a function that was asked."""
        failed = {"FunctionError": "Unhandled"} if isinstance(self.answer, Errored) else {}
        log = {"LogResult": b64encode(self.log).decode()} if with_log else {}
        return {"StatusCode": 200, **failed, **log, "ExecutedVersion": "$LATEST"}


def run(config: Config, request: Request, clock: Clock, rng: Rng) -> Outcome | signal.Signals:
    """Invokes once. A signal (SIGINT, SIGTERM) ends the function first, and is returned.

    Raises `ConfigError` where the function can never run as configured. No process of the function is left behind.
    """
    return interrupt.run(invoke(config, request, clock, rng))


async def invoke(config: Config, request: Request, clock: Clock, rng: Rng) -> Outcome:
    """Invokes once, and waits for it."""
    settings, arn = config.functions[request.function], function_arn(config, request.function)
    memory_size = settings.memory_size if isinstance(settings, ProcessFunctionConfig) else None
    transcript = Transcript(request.say)
    with ExitStack() as stack:
        if isinstance(settings, InlineFunctionConfig):  # it shares our streams: stdout is for its answer
            stack.enter_context(transcript.standing_in())
        async with make_executor(config, request.function, transcript, clock) as executor:
            invocation = Invocation(
                request_id=new_request_id(rng), event=request.event, deadline=clock.time() + settings.timeout, arn=arn
            )
            transcript.add(f"START RequestId: {invocation.request_id} Version: $LATEST")
            answer = await executor.invoke(invocation)
    transcript.add(f"END RequestId: {invocation.request_id}")
    transcript.add(report(invocation.request_id, _figures(answer), memory_size))
    return Outcome(answer=answer, log=transcript.tail)


def make_executor(config: Config, function: str, transcript: Transcript, clock: Clock) -> Executor:
    """What runs the function; one worker is enough. Raises `ConfigError`."""
    settings = config.functions[function].model_copy(update={"maximum_concurrency": 1})
    worker = Worker(
        name=function,
        arn=function_arn(config, function),
        config=settings,
        events=transcript,
        clock=clock,
        connection=config.function_connection(function),
    )
    return executor(worker)


def function_arn(config: Config, function: str) -> str:
    """What the function is called: as its first mapping calls it; a made-up account where none does."""
    named = next((each for each in config.event_source_mappings if each.function_name == function), None)
    if named is not None:
        return arn_of(named)
    return f"arn:aws:lambda:{config.aws.region or NO_REGION}:{NO_ACCOUNT}:function:{function}"


class Transcript:
    """The log of one invocation: passed on line by line, its end kept. It is the `WorkerEvents` of the executor."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._kept = bytearray()

    @property
    def tail(self) -> bytes:
        """The last bytes of the log."""
        return bytes(self._kept)

    def add(self, line: str) -> None:
        """A line, without its end."""
        self._kept += line.encode("utf-8", "replace") + b"\n"
        del self._kept[:-TAIL_BYTES]
        self._say(line)

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        """See `WorkerEvents.output`."""
        del stream, request_id
        self.add(line)

    def initialised(self, seconds: float) -> None:
        """See `WorkerEvents.initialised`: the report says it."""

    def not_initialised(self, why: Literal["failed", "refused"]) -> None:
        """See `WorkerEvents.not_initialised`: the answer says it."""

    def ended(self, reason: WorkerEnd) -> None:
        """See `WorkerEvents.ended`: the answer says it."""

    def backing_off(self, failures: int, seconds: float) -> None:
        """See `WorkerEvents.backing_off`: one invocation has no use for it."""

    def workers(self, count: Callable[[], WorkerCount]) -> None:
        """See `WorkerEvents.workers`: nobody asks."""

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """What is printed in this process goes to the log instead."""
        with _Lines(self) as lines, redirect_stdout(lines), redirect_stderr(lines):
            yield


class _Lines(TextIOBase):
    """A text stream that hands whole lines to a transcript; what is left at its end counts as one."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._transcript.add(line)
        return len(text)

    def close(self) -> None:
        if self._rest:
            self.write("\n")
        super().close()


def report(request_id: str, figures: Figures, memory_size: int | None) -> str:
    """Lambda's REPORT line, as far as there is something to say."""
    init, used = figures.init_duration, figures.max_memory
    parts = (
        f"RequestId: {request_id}",
        f"Duration: {figures.duration * 1000:.2f} ms",
        f"Billed Duration: {ceil((figures.duration + (init or 0.0)) * 1000)} ms",
        None if memory_size is None else f"Memory Size: {memory_size} MB",
        None if used is None else f"Max Memory Used: {ceil(used / MEGABYTE)} MB",
        None if init is None else f"Init Duration: {init * 1000:.2f} ms",
    )
    return "REPORT " + "\t".join(part for part in parts if part)


def _figures(answer: Answer) -> Figures:
    match answer:
        case Returned() | Errored():
            return answer.figures
        case TooLarge() | Refused():
            return NO_FIGURES
    assert_never(answer)

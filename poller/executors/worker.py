"""The light worker: a program that loads one handler and runs it as AWS Lambda does, one invocation at a time.

Only the standard library, any Python from 3.8 on, and one file, whatever its length: the function's interpreter runs it and need
not know the poller. The daemon starts it as `python worker.py CHANNEL`, an inherited file descriptor, as the leader of a session,
with Lambda's environment. Importing it does nothing: the inline executor shares how it loads handlers, encodes answers and words
errors.

CHANNEL is a stream socket. A request is `REQUEST`, then a `Call` as JSON array, then the event. A reply is `REPLY`, then the
payload; the first one, unasked, says that the handler is loaded, or why it is not.

What is encoded how, the types of errors and their texts are those of Lambda's runtime interface client (awslambdaric 4).
"""

# pathlib takes long to import
# ruff: noqa: PTH100, PTH120, PTH123

from __future__ import annotations

import importlib
import json
import logging
import marshal
import os
import resource
import select
import signal
import struct
import sys
import time
import traceback
from json.encoder import encode_basestring, encode_basestring_ascii
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Handler = Callable[[object, "Context"], object]
    Reply = tuple[bytes, bytes]

REQUEST = struct.Struct(">III")
"""Size of the call, size of the event, sequence number (from 1)."""

REPLY = struct.Struct(">IIcdQ")
"""Size of the payload, sequence number of the request (0: the first reply), kind, seconds, bytes resident at most (or 0)."""

READY, RETURNED, RAISED = b"I", b"R", b"E"
"""Kinds of replies. `RAISED` as the first reply: the handler could not be loaded, and this process ends."""

MAX_ANSWER_BYTES = 6 * 1024 * 1024 + 100
ASCII_ONLY = sys.version_info < (3, 12)
"""Lambda's runtimes before Python 3.12 escape what is not ASCII."""

FACTS = ("FUNCTION_NAME", "FUNCTION_VERSION", "FUNCTION_MEMORY_SIZE", "LOG_GROUP_NAME", "LOG_STREAM_NAME")
OPEN_FILES = 1024
PR_SET_PDEATHSIG = 1
PLAIN, UNICODE = json.JSONEncoder(), json.JSONEncoder(ensure_ascii=False)
RUNTIME_FOLDER = os.path.dirname(os.path.abspath(__file__))


def main(channel: int) -> None:
    """Loads the handler, says how that went, and serves until the daemon closes the channel."""
    end_with_daemon(channel)
    furnish()
    log = LogHandler()
    logging.getLogger().addHandler(log)
    started = time.perf_counter()
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:  # noqa: BLE001 - whatever the function's module raises is its answer
        send(channel, 0, (RAISED, failure(error, "", log=True)), time.perf_counter() - started)
        sys.exit(1)
    send(channel, 0, (READY, b""), time.perf_counter() - started)
    serve(channel, handler, log)


def end_with_daemon(channel: int) -> None:
    """Ends this process group with the daemon, in case the pipe that it holds for that cannot (see `launch`).

    SIGKILL as the signal of the parent's death would end this process alone, and with it what ends the group.
    """
    os.set_inheritable(channel, False)  # noqa: FBT003 - takes no keyword
    signal.signal(signal.SIGRTMAX, lambda *_: end_group())
    try:
        import ctypes  # noqa: PLC0415 - some Pythons are built without it
    except ImportError:
        pass
    else:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGRTMAX))
    closed = select.poll()
    closed.register(channel, 0)
    if closed.poll(0):  # the daemon was gone before it could be waited for
        end_group()


def end_group() -> None:
    """Kills this process and all that it has started in its group."""
    os.killpg(0, signal.SIGKILL)


def furnish() -> None:
    """Makes this process look as Lambda's sandbox looks to the function."""
    if sys.path and os.path.abspath(sys.path[0]) == RUNTIME_FOLDER:
        del sys.path[0]
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    os.environ.setdefault("AWS_EXECUTION_ENV", f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper in a fresh process
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if 0 <= hard < OPEN_FILES else OPEN_FILES, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class LogHandler(logging.StreamHandler):  # type: ignore[type-arg]  # no class can be subscripted in Python 3.8
    """Lambda's log format: level, time in UTC, request id and message between tabs."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self.request_id = ""
        formatter = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s")
        formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
        if isinstance(logging.getLevelName(level), int):
            logging.getLogger().setLevel(level)

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        record.aws_request_id = self.request_id
        return super().format(record)


def serve(channel: int, handler: Handler, log: LogHandler) -> None:
    """Request by request, until the daemon closes the channel."""
    requests = open(channel, "rb", buffering=1 << 16, closefd=False)  # noqa: SIM115 - open for life
    facts = [os.environ.get("AWS_LAMBDA_" + name, "") for name in FACTS]
    process = os.getpid()
    trace: str | None = ""
    while True:
        head = requests.read(REQUEST.size)
        if len(head) < REQUEST.size:
            end_group()
        call_size, event_size, sequence = REQUEST.unpack(head)
        fields: Any = json_of(requests.read(call_size).decode())
        call = Call(*fields)
        event = requests.read(event_size)
        log.request_id = call.request_id
        if call.trace is not trace:  # rarely: a look into the environment takes as long as all the rest here
            trace = call.trace
            set_trace(trace)
        started = time.perf_counter()
        reply = invoke(handler, event, Context(call, facts))
        if os.getpid() != process:
            os._exit(0)  # a fork that the handler let run back into here: the answer is its parent's to give
        sys.stdout.flush()
        sys.stderr.flush()
        send(channel, sequence, reply, time.perf_counter() - started)


def invoke(handler: Handler, event: bytes, context: Context) -> Reply:
    """One run of the handler: kind and payload of the reply. SystemExit and its like end this process, as on Lambda."""
    try:
        kind, payload = RETURNED, encode(handler(decode(event), context))
    except Exception as error:  # noqa: BLE001 - whatever the function raises is its answer
        kind, payload = RAISED, failure(error, context.aws_request_id, log=True)
    return (kind, payload) if len(payload) <= MAX_ANSWER_BYTES else (RAISED, too_large(len(payload)))


def set_trace(trace: str | None) -> None:
    """The X-Ray trace id of the invocation, where the SDK looks for it."""
    if trace is not None:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    elif "_X_AMZN_TRACE_ID" in os.environ:
        del os.environ["_X_AMZN_TRACE_ID"]


def send(channel: int, sequence: int, reply: Reply, seconds: float) -> None:
    """Writes one reply."""
    kind, payload = reply
    message = REPLY.pack(len(payload), sequence, kind, seconds, MEMORY.peak()) + payload
    sent = os.write(channel, message)
    while sent < len(message):
        with memoryview(message) as whole:
            sent += os.write(channel, whole[sent:])


class Memory:
    """The most that was ever resident, in bytes. getrusage would count what the daemon had when it started this process."""

    def __init__(self) -> None:
        self._peak = 0
        self._known_until = 0.0

    def peak(self) -> int:
        """Looked up once a second at most: that takes longer than many a handler. 0 where the kernel does not tell."""
        now = time.perf_counter()
        if now >= self._known_until:
            self._known_until = now + 1.0
            try:
                with open("/proc/self/status", "rb") as status:
                    self._peak = int(status.read().partition(b"VmHWM:")[2].split(None, 1)[0]) * 1024
            except (OSError, IndexError):  # the function has used up its descriptors; another kernel
                pass
        return self._peak


MEMORY = Memory()


# ------------------------------------------------------------------------- from here on shared with the inline executor


def no_number(constant: str) -> object:
    """Refuses NaN and the infinities, which events do not have. Raises ValueError."""
    raise ValueError(f"{constant} is not JSON")


EVENTS = json.JSONDecoder(parse_constant=no_number)


class Call(NamedTuple):
    """What an invocation is, besides its event. `deadline` is in Unix seconds."""

    request_id: str
    deadline: float
    arn: str
    trace: Optional[str] = None  # noqa: UP045 - evaluated, also by Python 3.8


class Fault(Exception):
    """What the runtime, not the function's code, finds wrong. `trace` are lines for `stackTrace`."""

    def __init__(self, error_type: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace or []


class Context:
    """Lambda's context object. `facts` are the values of `FACTS`; `now` tells Unix seconds."""

    def __init__(self, call: Call, facts: Sequence[str], now: Callable[[], float] = time.time) -> None:  # noqa: TID251
        self.aws_request_id = call.request_id
        self.invoked_function_arn = call.arn
        self.function_name, self.function_version, self.memory_limit_in_mb, self.log_group_name, self.log_stream_name = facts
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = None
        self.tenant_id = None
        self._deadline = call.deadline
        self._now = now

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the deadline, never negative."""
        return max(0, int(self._deadline * 1000) - int(self._now() * 1000))

    def log(self, message: object) -> None:
        """Writes to the function's log, as it is."""
        sys.stdout.write(str(message))

    def w3c(self) -> dict[str, str]:
        """The caller's trace context; event sources have none."""
        return {}


def load(name: str) -> Handler:
    """The handler `module.function`; slashes in the module's name become dots. Raises `Fault`, or what the module raises."""
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {error}") from error
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace) from error
    try:
        return getattr(module, function_name)  # type: ignore[no-any-return]  # the first call will tell
    except AttributeError as error:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'") from error


def failure(error: BaseException, request_id: str, *, log: bool = False) -> bytes:
    """Lambda's error object: type and text of an exception and the function's frames; on request also for people, on stdout."""
    if isinstance(error, Fault):
        error_type, trace = error.error_type, error.trace
    else:
        error_type, trace = type(error).__name__, stack_trace(error)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception class of the function's that cannot say what it is
        message = ""
    if log:
        title = f"[ERROR] {error_type}: {message}" if message else f"[ERROR] {error_type}"
        sys.stdout.write("\n".join((title, "Traceback (most recent call last):", *(line.rstrip("\n") for line in trace), "")))
    return error_json({"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace})


def stack_trace(error: BaseException) -> list[str]:
    """The frames of a traceback as Python prints them, from the first on that is not the runtime's own; all, if there is none."""
    frames = [tuple(frame) for frame in traceback.extract_tb(error.__traceback__)]
    theirs = (number for number, frame in enumerate(frames) if os.path.dirname(frame[0]) != RUNTIME_FOLDER)
    return traceback.format_list(frames[next(theirs, 0) :])


def too_large(size: int) -> bytes:
    """The error object for an answer above the limit."""
    text = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({MAX_ANSWER_BYTES} bytes)."
    return error_json({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text})


def error_json(error: Mapping[str, object]) -> bytes:
    """An error object as it goes out; half of a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return to_json(dict(error)).encode("utf-8", "replace")


def json_of(text: str) -> object:
    """The value of a JSON text; does not look for white space around it unless there is some. Raises ValueError."""
    try:
        value, end = EVENTS.raw_decode(text)
    except json.JSONDecodeError:
        value, end = None, -1
    return value if end == len(text) else EVENTS.decode(text)


def decode(event: bytes) -> object:
    """The event as Python values. Raises `Fault`."""
    try:
        return json_of(event.decode())
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error


def encode(answer: object) -> bytes:
    """A handler's answer as it goes out: JSON, or bytes as they are. Raises `Fault`."""
    if isinstance(answer, bytes):
        return answer
    try:
        return to_json(answer).encode()
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def to_json(value: object) -> str:
    """JSON as Lambda's runtime client writes it with simplejson, which is not quite as the standard library does."""
    try:
        marshal.dumps(value, 2)  # type: ignore[arg-type]  # takes nothing but exact built-in types, for which both agree
        return (PLAIN if ASCII_ONLY else UNICODE).encode(value)
    except Exception:  # noqa: BLE001 - the thorough way knows what it is, and names the error
        writer = Writer(encode_basestring_ascii if ASCII_ONLY else encode_basestring)
    try:
        writer.write(value)
    except RecursionError:
        raise RecursionError("maximum recursion depth exceeded while encoding a JSON object") from None
    return "".join(writer.parts)


class Writer:
    """Writes JSON by the rules of simplejson: bytes are text, what has `_asdict` is an object, a Decimal keeps its digits."""

    def __init__(self, quote: Callable[[str], str]) -> None:
        self.parts: list[str] = []
        self._quote = quote
        self._open: set[int] = set()

    def write(self, value: object) -> None:
        """Appends one value to the parts. Raises TypeError for what JSON has not, ValueError for what contains itself."""
        text = decimal_digits(value) or scalar(value)
        if text is not None:
            self.parts.append(self._quote(text) if isinstance(value, (str, bytes)) else text)
            return
        if id(value) in self._open:
            raise ValueError("Circular reference detected")
        self._open.add(id(value))
        members = container(value)
        if isinstance(members, dict):
            self._write_object(members)
        else:
            self._write_array(members)
        self._open.discard(id(value))

    def _write_object(self, members: dict[object, object]) -> None:
        opening = "{"
        for name, member in members.items():
            self.parts.append(opening + self._quote(key(name)) + ": ")
            self.write(member)
            opening = ", "
        self.parts.append("{}" if opening == "{" else "}")

    def _write_array(self, members: list[object] | tuple[object, ...]) -> None:
        opening = "["
        for member in members:
            self.parts.append(opening)
            self.write(member)
            opening = ", "
        self.parts.append("[]" if opening == "[" else "]")


def scalar(value: object) -> str | None:
    """The text, not yet quoted, of strings, numbers and constants; None for everything else."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return value.decode()
    if value is None or isinstance(value, bool):
        return PLAIN.encode(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return PLAIN.encode(float(value))
    return None


def decimal_digits(value: object) -> str | None:
    """A Decimal as a number of its own precision; None for everything else. Does not import what the function does not use."""
    decimal = sys.modules.get("decimal")
    if decimal is None or not isinstance(value, decimal.Decimal):
        return None
    return "NaN" if value.is_nan() else str(value)


def key(value: object) -> str:
    """A key of an object as text. Raises TypeError."""
    text = scalar(value)
    if text is None:
        raise TypeError(f"keys must be str, int, float, bool or None, not {type(value).__name__}")
    return text


def container(value: object) -> dict[object, object] | list[object] | tuple[object, ...]:
    """The members of an object: what its `_asdict` says, or its own. Raises TypeError."""
    as_dict = getattr(value, "_asdict", None)
    if callable(as_dict):
        try:
            members = as_dict()
        except TypeError:  # a class, not an instance of it
            pass
        else:
            if not isinstance(members, dict):
                raise TypeError(f"_asdict() must return a dict, not {type(members).__name__}")
            return members
    if isinstance(value, (dict, list, tuple)):
        return value
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Configurations in one line: a kind of section, and what is written there. Tables below tests/data/config are made of them."""

from __future__ import annotations

from pathlib import Path

STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
MAPPING = {"name": "m", "event_source_arn": STREAM, "function_name": "f", "starting_position": "LATEST"}
QUEUE = {"name": "m", "event_source_arn": "arn:aws:sqs:eu-west-1:123456789012:q", "function_name": "f"}
FIFO = QUEUE | {"event_source_arn": "arn:aws:sqs:eu-west-1:123456789012:q.fifo"}
PROCESS = {"executor": "process", "runtime": "python", "handler": "app.handler"}
INLINE = {"executor": "inline", "handler": "app.handler"}
HTTP = {"executor": "http", "url": "http://orders:8080/"}
LAMBDA = {"executor": "lambda", "function_name": "orders"}
ONE_FUNCTION = "functions: {f: {executor: inline, handler: app.handler}}"
NOWHERE: dict[str, object] = {
    "destination": None,
    "include_payload": False,
    "headers": {},
    "headers_file": {},
    "ca_file": None,
    "allow_link_local": False,
    "timeout": 30,
    "maximum_file_size": 100_000_000,
    "rotated_files": 10,
}
"""A failure destination where nothing is configured."""


def top(snippet: str) -> str:
    """The snippet stands on line 1."""
    return f"{snippet}\n{ONE_FUNCTION}\nevent_source_mappings: []\n"


def process(snippet: str) -> str:
    """The snippet stands on line 3, from column 5, in a process function."""
    return f"functions:\n  f:\n    {snippet}\n{_others(snippet, PROCESS)}event_source_mappings: []\n"


def bare(snippet: str) -> str:
    """The snippet stands on line 3, from column 5; it is all that the function has."""
    return f"functions:\n  f:\n    {snippet}\nevent_source_mappings: []\n"


def function(snippet: str) -> str:
    """The snippet stands on line 2, from column 3: a function with its name."""
    return f"functions:\n  {snippet}\nevent_source_mappings: []\n"


def item(snippet: str) -> str:
    """The snippet stands on line 3, from column 5: all of a mapping."""
    return f"{ONE_FUNCTION}\nevent_source_mappings:\n  - {snippet}\n"


def inline(snippet: str) -> str:
    """The same in an inline function."""
    return f"functions:\n  f:\n    {snippet}\n{_others(snippet, INLINE)}event_source_mappings: []\n"


def http(snippet: str) -> str:
    """The same in a function behind a URL."""
    return f"functions:\n  f:\n    {snippet}\n{_others(snippet, HTTP)}event_source_mappings: []\n"


def aws(snippet: str) -> str:
    """The same in a function of AWS Lambda."""
    return f"functions:\n  f:\n    {snippet}\n{_others(snippet, LAMBDA)}event_source_mappings: []\n"


def mapping(snippet: str) -> str:
    """The snippet stands on line 3, from column 5, in the only mapping."""
    return f"{ONE_FUNCTION}\nevent_source_mappings:\n  - {snippet}\n{_others(snippet, MAPPING)}"


def queue(snippet: str) -> str:
    """The same, of a queue."""
    return f"{ONE_FUNCTION}\nevent_source_mappings:\n  - {snippet}\n{_others(snippet, QUEUE)}"


def fifo(snippet: str) -> str:
    """The same, of a FIFO queue."""
    return f"{ONE_FUNCTION}\nevent_source_mappings:\n  - {snippet}\n{_others(snippet, FIFO)}"


def _others(snippet: str, required: dict[str, str]) -> str:
    """What else the section needs, but for the key that the snippet gives, in whatever spelling."""
    given = snippet.partition(":")[0].replace("_", "").lower()
    return "".join(f"    {key}: {value}\n" for key, value in required.items() if key.replace("_", "") != given)


TABLES = Path(__file__).parents[1] / "data" / "config"
KINDS = {kind.__name__: kind for kind in (top, function, bare, process, inline, http, aws, item, mapping, queue, fifo)}


def table(name: str) -> list[tuple[str, str, list[str]]]:
    """Kind, snippet and what is expected of it; every line of the file counts."""
    lines = [line for line in (TABLES / name).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    rows: list[tuple[str, str, list[str]]] = []
    for line in lines:
        if line.startswith("    "):
            rows[-1][2].append(line.strip())
        else:
            kind, _, snippet = line.partition(" | ")
            rows.append((kind, snippet.replace("\\n", "\n"), []))
    return rows

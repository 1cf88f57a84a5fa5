"""Makes docs/configuration.md from the models: `PYTHONPATH=tests python -m support.config_doc`, from the root of the repository.

The prose is in tests/support/configuration.md; a line `<!-- NAME -->` stands for the table of that name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from poller.config import (
    Config,
    HttpFunctionConfig,
    InlineFunctionConfig,
    LambdaFunctionConfig,
    ProcessFunctionConfig,
    QueueMappingConfig,
    StreamMappingConfig,
)
from poller.config.event_source import EventSourceMapping
from poller.config.section import Section
from support.config_schema import Schema, of_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
PROSE = Path(__file__).with_name("configuration.md")

HEAD = "| key | value | default | meaning |\n|---|---|---|---|\n"
DEFAULT = re.compile(r"Default:? (.+?)(?:[.:;,](?: |$)|$)")


def document() -> str:
    """The whole page."""
    return re.sub(
        r"^<!-- (\w+) -->$", lambda found: TABLES[found[1]].rstrip("\n"), PROSE.read_text(encoding="utf-8"), flags=re.MULTILINE
    )


def table(model: type[Section], *, without: tuple[str, ...] = ()) -> str:
    """A row for each field, those of sections below included."""
    rows = [(name, row) for name, row in _rows(model) if re.split(r"[.\[]", name)[0] not in without]
    return HEAD + "".join(row for _, row in sorted(rows, key=lambda named: named[0] != "executor"))


def _rows(model: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        below = _section_below(field.annotation)
        if below is not None:
            yield from _rows(below, f"{path}[]." if "tuple" in str(field.annotation) else f"{path}.")
        elif model is not Config or path not in {"functions", "event_source_mappings"}:
            yield path, _row(model, path, name, field)


def _section_below(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    first = arguments[0] if arguments else None
    return first if isinstance(first, type) and issubclass(first, Section) and "tuple" in str(annotation) else None


def _row(model: type[Section], path: str, name: str, field: FieldInfo) -> str:
    cells = (f"`{path}`", values(of_value(model, name, field)), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, str | int | float):
        return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"
    said = DEFAULT.search(field.description or "")
    return said[1] if said else "none"


def values(schema: Schema) -> str:
    """What a field may hold, in words."""
    kind = schema.get("type")
    if "$ref" in schema:
        return WORDS["object"]
    if allowed := schema.get("enum", [schema["const"]] if "const" in schema else None):
        return " or ".join(f"`{each}`" for each in allowed)
    if isinstance(kind, list):
        return " or ".join(WORDS[each] for each in kind if each != "null")
    if kind is None:  # alternatives: only null and Lambda's own spelling are not worth a word
        limits = {key: schema[key] for key in ("minimum", "maximum", "exclusiveMinimum") if key in schema}
        return values(next(each for each in schema["anyOf"] if each.get("type") != "null") | limits)
    if kind == "array":
        return f"list of {values(schema['items'])}"
    return f"mapping to {values(schema['additionalProperties'])}" if kind == "object" else WORDS[kind] + _range(schema)


def _range(schema: Schema) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    either = [] if schema["type"] == "string" else schema.get("anyOf", [schema])
    return " " + " or ".join(filter(None, map(_bounds, either))) if any(map(_bounds, either)) else ""


def _bounds(schema: Schema) -> str:
    if "const" in schema or "minimum" not in schema:
        return str(schema.get("const", ""))
    return f"{schema['minimum']} to {schema['maximum']}" if "maximum" in schema else f"from {schema['minimum']}"


WORDS = {
    "string": "text",
    "object": "mapping",
    "integer": "integer",
    "number": "number",
    "boolean": "`true` or `false`",
}


def refused(*models: tuple[str, type[Section]]) -> str:
    """Keys that Lambda or SAM has, or another kind of section, and why they cannot be used."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for kind, model in models:
        for name, reason in model.refused.items():
            reasons.setdefault((name, reason), []).append(kind)
    rows = (f"| `{name}` | {' and '.join(kinds)} | {reason} |\n" for (name, reason), kinds in sorted(reasons.items()))
    return "| key | of | |\n|---|---|---|\n" + "".join(rows)


COMMON = tuple(name for name in EventSourceMapping.model_fields if name != "event_source_arn")
TABLES = {
    "process": table(Config),
    "functions": table(ProcessFunctionConfig),
    "inline": table(InlineFunctionConfig),
    "http": table(HttpFunctionConfig),
    "lambda": table(LambdaFunctionConfig),
    "mappings": table(EventSourceMapping),
    "streams": table(StreamMappingConfig, without=COMMON),
    "queues": table(QueueMappingConfig, without=COMMON),
    "refused_mappings": refused(("streams", StreamMappingConfig), ("queues", QueueMappingConfig)),
    "refused_functions": refused(
        ("process", ProcessFunctionConfig),
        ("inline", InlineFunctionConfig),
        ("http", HttpFunctionConfig),
        ("lambda", LambdaFunctionConfig),
    ),
}

if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")

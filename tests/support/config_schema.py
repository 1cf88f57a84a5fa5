"""Makes config/poller.schema.json from the models: `PYTHONPATH=tests python -m support.config_schema`, from the root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen
from pydantic import AfterValidator

from poller.config import (
    Config,
    HttpFunctionConfig,
    InlineFunctionConfig,
    LambdaFunctionConfig,
    PluginFunctionConfig,
    ProcessFunctionConfig,
    QueueMappingConfig,
    StreamMappingConfig,
    arn,
    destination,
    fields,
    lambda_function,
    retries,
    web,
)
from poller.config.destination import OnFailure
from poller.config.event_source import EventSourceMapping
from poller.config.filters import FilterPattern
from poller.config.function import BaseFunction
from poller.config.section import Chosen, LambdaSection, Section, pascal_case

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

Schema = dict[str, Any]
DOCUMENT = Path(__file__).parents[2] / "config" / "poller.schema.json"

TITLE = "The configuration of poller"
DIALECT = "http://json-schema.org/draft-07/schema#"
VARIABLE: Schema = {"type": "string", "pattern": r"\$\{"}
"""Stands for a value of any kind."""

TYPES: dict[object, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string", "minLength": 1},
    object: {},
}
PATTERNS = {
    fields._name: fields._NAME.pattern,
    fields._handler: fields._HANDLER.pattern,
    fields._region: fields._REGION.pattern,
    fields._variable: fields.VARIABLE.pattern,
    fields._listen: fields._LISTEN.pattern,
    fields._endpoint: r"https?://\S+",
    web.url: r"https?://\S+",
    web._header: web.HEADER.pattern,
    web._header_value: web._VALUE.pattern,
    lambda_function._function: r"[A-Za-z0-9:_$-]+",
    lambda_function._qualifier: lambda_function._QUALIFIER.pattern,
    retries._error_type: retries._ERROR_TYPE.pattern,
    fields._uuid: "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    arn.stream_arn: rf"arn:aws[a-z0-9-]*:kinesis:[a-z0-9-]+:[0-9]{{12}}:{arn._STREAM.pattern}",
    arn.queue_arn: rf"arn:aws[a-z0-9-]*:sqs:[a-z0-9-]+:[0-9]{{12}}:(?:{arn._FIFO_QUEUE.pattern}|{arn._QUEUE.pattern})",
    destination.failure_destination: r"(?:(?:https?://|file:)\S+|arn:aws[a-z0-9-]*:"
    rf"(?:sqs:[a-z0-9-]+:[0-9]{{12}}:(?:{arn._QUEUE.pattern}|{arn._FIFO_QUEUE.pattern})"
    rf"|sns:[a-z0-9-]+:[0-9]{{12}}:{arn._TOPIC.pattern}|kinesis:[a-z0-9-]+:[0-9]{{12}}:{arn._STREAM.pattern}"
    rf"|s3:::{arn._BUCKET.pattern}))?",
}
AS_WRITTEN: Schema = {"type": ["string", "number", "boolean", "null"]}
VARIABLES: Schema = {
    "type": "object",
    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
    "additionalProperties": AS_WRITTEN,
}
HEADERS: Schema = {
    "type": "object",
    "propertyNames": {"pattern": f"^{web.HEADER.pattern}$"},
    "additionalProperties": AS_WRITTEN,
}
SPECIAL: dict[tuple[type[Section], str], Schema] = {
    (FilterPattern, "pattern"): {"type": ["string", "object"], "maxLength": 4096, "minProperties": 1},
    (StreamMappingConfig, "starting_position_timestamp"): {"type": ["number", "string", "null"]},
    (ProcessFunctionConfig, "environment"): {
        "anyOf": [VARIABLES, {"type": "object", "required": ["Variables"], "properties": {"Variables": VARIABLES}}]
    },
    (HttpFunctionConfig, "headers"): HEADERS,
    (OnFailure, "headers"): HEADERS,
    (StreamMappingConfig, "maximum_record_age_in_seconds"): {
        "type": "integer",
        "anyOf": [{"const": fields.FOREVER}, {"minimum": fields.SHORTEST_AGE, "maximum": fields.LONGEST_AGE}],
    },
}
"""Fields of which more may be written than their type says, or less."""


def document() -> str:
    """The whole file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> Schema:
    """The schema of one file. Of a folder each file holds a part, so nothing is required at the top."""
    top = of_section(Config)
    top.pop("allOf")
    models = sorted(_sections(Config), key=lambda model: model.__name__)
    definitions = {model.__name__: of_section(model) for model in models if model is not Config}
    return {"$schema": DIALECT, "title": TITLE, **top, "definitions": definitions}


def of_section(model: type[Section]) -> Schema:
    """A mapping with the model's keys in all their spellings; those that are refused say why."""
    properties: Schema = {}
    fields = {name: field for name, field in model.model_fields.items() if not field.exclude}
    for name, field in fields.items():
        properties |= dict.fromkeys(spellings(model, name), of_field(model, name, field))
    for name, reason in model.refused.items():
        sentence = f"{name} {reason}"
        refusal = {"not": {}, "description": sentence, "errorMessage": sentence, "doNotSuggest": True}
        properties |= dict.fromkeys((name, pascal_case(name)), refusal)
    required = [name for name, field in fields.items() if field.is_required()]
    every = [{"anyOf": [{"required": [key]} for key in spellings(model, name)]} for name in required]
    return {
        "type": "object",
        "description": (model.__doc__ or "").partition("\n")[0],
        "properties": properties,
        **({"allOf": every} if every else {}),
        "additionalProperties": model is PluginFunctionConfig,
    }


def spellings(model: type[Section], name: str) -> tuple[str, ...]:
    """How a field may be written."""
    both = issubclass(model, LambdaSection) and not isinstance(model.model_fields[name].validation_alias, str)
    return (name, pascal_case(name)) if both else (name,)


def of_field(model: type[Section], name: str, field: FieldInfo) -> Schema:
    """What a field may hold, a variable included, and what an editor shows of it."""
    known = of_value(model, name, field)
    shown: Schema = {"description": field.description}
    if isinstance(field.default, str | int | float | bool):
        shown["default"] = field.default
    if field.examples:
        shown["examples"] = list(field.examples)
    return ({"anyOf": [known, VARIABLE]} if _may_be_a_variable(known) else known) | shown


def of_value(model: type[Section], name: str, field: FieldInfo) -> Schema:
    """What a field may hold."""
    special = SPECIAL.get((model, name))
    return special if special is not None else of_type(field.annotation, field.metadata)


def of_type(annotation: object, metadata: Iterable[object] = ()) -> Schema:
    """The schema of a type with what stands around it."""
    if get_origin(annotation) is Annotated:
        inner, *around = get_args(annotation)
        return of_type(inner, [*around, *metadata])
    if any(isinstance(each, Chosen) for each in metadata):
        return _chosen(get_args(annotation))
    return _plain(annotation) | _limits(metadata)


def _plain(annotation: object) -> Schema:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return {"$ref": f"#/definitions/{annotation.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {UnionType, Union}:
        kept = [of_type(each) for each in arguments if each is not NoneType]
        return _or_null(kept) if NoneType in arguments else {"anyOf": kept}
    if origin is tuple:
        return {"type": "array", "items": of_type(arguments[0])}
    if origin is Mapping:
        names = of_type(arguments[0])
        return {"type": "object", "propertyNames": names, "additionalProperties": of_type(arguments[1])}
    return dict(TYPES[annotation])


def _or_null(kept: list[Schema]) -> Schema:
    return {"anyOf": [*kept, {"type": "null"}]}


def _limits(metadata: Iterable[object]) -> Schema:
    found: Schema = {}
    for each in metadata:
        match each:
            case Ge(ge):
                found["minimum"] = ge
            case Le(le):
                found["maximum"] = le
            case Gt(gt):
                found["exclusiveMinimum"] = gt
            case MaxLen(most):
                found["maxItems"] = most
            case AfterValidator(func) if func in PATTERNS:
                found["anyOf"] = [{"pattern": f"^(?:{PATTERNS[func]})$"}, {"pattern": VARIABLE["pattern"]}]
            case _ if hasattr(each, "metadata"):
                found |= _limits(each.metadata)
    return found


def _chosen(models: tuple[type[Section], ...]) -> Schema:
    """A mapping by its source, a function by its executor: an editor then shows the errors of the one that is meant."""
    *others, last = models
    schema: Schema = _reference(last)
    for model in reversed(others):
        schema = {"if": _condition(model), "then": _reference(model), "else": schema}
    return {"type": "object", **schema}


def _reference(model: type[Section]) -> Schema:
    return {"$ref": f"#/definitions/{model.__name__}"}


def _condition(model: type[Section]) -> Schema:
    if issubclass(model, BaseFunction):  # a function that names no executor is most likely to be a process
        (name,) = get_args(model.model_fields["executor"].annotation)
        named = {"properties": {"executor": {"const": name}}}
        return named if model is ProcessFunctionConfig else {"required": ["executor"], **named}
    assert issubclass(model, EventSourceMapping)
    keys = spellings(model, "event_source_arn")
    return {
        "not": {"anyOf": [{"required": [key], "properties": {key: {"pattern": "^(?:arn:[^:]*:sqs:|https?://)"}}} for key in keys]}
    }


def _may_be_a_variable(known: Schema) -> bool:
    kinds = known.get("type", "")
    text = "string" in kinds or any("string" in each.get("type", "") for each in known.get("anyOf", ()))
    return (
        not text
        and "$ref" not in known
        and kinds not in {"object", "array"}
        and known != SPECIAL[ProcessFunctionConfig, "environment"]
    )


def _sections(annotation: object) -> set[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        inner = (_sections(field.annotation) for field in annotation.model_fields.values())
        return {annotation}.union(*inner)
    return set().union(*(_sections(each) for each in get_args(annotation)))


MODELS = (
    Config,
    ProcessFunctionConfig,
    InlineFunctionConfig,
    HttpFunctionConfig,
    LambdaFunctionConfig,
    StreamMappingConfig,
    QueueMappingConfig,
)
"""Those that a page about the configuration is made of."""

if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")

"""As much of JSON Schema (draft 7) as config/poller.schema.json uses. An unknown keyword is an error, not something to skip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = dict[str, Any]

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
ANNOTATIONS = {"$schema", "title", "description", "default", "examples", "definitions", "errorMessage", "doNotSuggest"}
HANDLED = {"then", "else"}


@dataclass(frozen=True)
class Validator:
    """Checks values against one schema."""

    root: Schema

    def errors(self, value: object) -> list[str]:
        """Where the value breaks the schema, as `path: keyword`."""
        return list(self._errors(value, self.root, "$"))

    def _errors(self, value: object, schema: Schema, path: str) -> Iterator[str]:
        for keyword, wanted in schema.items():
            if keyword in ANNOTATIONS or keyword in HANDLED:
                continue
            check = getattr(self, f"_{keyword.strip('$')}_")
            yield from (error if error.startswith("$") else f"{path}: {error}" for error in check(value, wanted, schema, path))

    def _holds(self, value: object, schema: Schema) -> bool:
        return not any(True for _ in self._errors(value, schema, "$"))

    def _ref_(self, value: object, wanted: str, _: Schema, path: str) -> Iterator[str]:
        yield from self._errors(value, self.root["definitions"][wanted.rpartition("/")[2]], path)

    def _type_(self, value: object, wanted: str | list[str], _: Schema, path: str) -> Iterator[str]:
        kinds = [wanted] if isinstance(wanted, str) else wanted
        if not any(isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds):
            yield "type"

    def _enum_(self, value: object, wanted: list[object], _: Schema, path: str) -> Iterator[str]:
        if value not in wanted or isinstance(value, bool) not in {isinstance(each, bool) for each in wanted}:
            yield "enum"

    def _const_(self, value: object, wanted: object, _: Schema, path: str) -> Iterator[str]:
        if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
            yield "const"

    def _required_(self, value: object, wanted: list[str], _: Schema, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (f"required {key}" for key in wanted if key not in value)

    def _properties_(self, value: object, wanted: dict[str, Schema], _: Schema, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from self._errors(inner, wanted[key], f"{path}.{key}") if key in wanted else ()

    def _additionalProperties_(self, value: object, wanted: bool | Schema, schema: Schema, path: str) -> Iterator[str]:  # noqa: FBT001, N802
        for key, inner in value.items() if isinstance(value, dict) else ():
            if key not in schema.get("properties", {}):
                yield from self._errors(inner, wanted, f"{path}.{key}") if isinstance(wanted, dict) else (f"unknown {key}",)

    def _propertyNames_(self, value: object, wanted: Schema, _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        for key in value if isinstance(value, dict) else ():
            yield from self._errors(key, wanted, f"{path}.{key}")

    def _minProperties_(self, value: object, wanted: int, _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        if isinstance(value, dict) and len(value) < wanted:
            yield "minProperties"

    def _items_(self, value: object, wanted: Schema, _: Schema, path: str) -> Iterator[str]:
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from self._errors(item, wanted, f"{path}[{index}]")

    def _maxItems_(self, value: object, wanted: int, _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        if isinstance(value, list) and len(value) > wanted:
            yield "maxItems"

    def _minimum_(self, value: object, wanted: float, _: Schema, path: str) -> Iterator[str]:
        if isinstance(value, int | float) and value < wanted:
            yield "minimum"

    def _maximum_(self, value: object, wanted: float, _: Schema, path: str) -> Iterator[str]:
        if isinstance(value, int | float) and value > wanted:
            yield "maximum"

    def _exclusiveMinimum_(self, value: object, wanted: float, _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        if isinstance(value, int | float) and value <= wanted:
            yield "exclusiveMinimum"

    def _minLength_(self, value: object, wanted: int, _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        if isinstance(value, str) and len(value) < wanted:
            yield "minLength"

    def _maxLength_(self, value: object, wanted: int, _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        if isinstance(value, str) and len(value) > wanted:
            yield "maxLength"

    def _pattern_(self, value: object, wanted: str, _: Schema, path: str) -> Iterator[str]:
        if isinstance(value, str) and not re.search(wanted, value):
            yield "pattern"

    def _anyOf_(self, value: object, wanted: list[Schema], _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        if not any(self._holds(value, each) for each in wanted):
            yield "anyOf"

    def _allOf_(self, value: object, wanted: list[Schema], _: Schema, path: str) -> Iterator[str]:  # noqa: N802
        for each in wanted:
            yield from self._errors(value, each, path)

    def _not_(self, value: object, wanted: Schema, _: Schema, path: str) -> Iterator[str]:
        if self._holds(value, wanted):
            yield "not"

    def _if_(self, value: object, wanted: Schema, schema: Schema, path: str) -> Iterator[str]:
        yield from self._errors(value, schema["then" if self._holds(value, wanted) else "else"], path)

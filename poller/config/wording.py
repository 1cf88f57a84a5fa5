"""Pydantic's errors in our words: each a sentence that names the key, never the value."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, cast

from pydantic_core import InitErrorDetails, PydanticCustomError

from poller.config.problem import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from poller.config.tree import At

Path = tuple[str | int, ...]
"""A place inside the configuration: keys and indices from the section down."""

_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "mapping_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
_SUGGESTIBLE = 64


def must(predicate: str) -> PydanticCustomError:
    """An error to raise in a validator of one value: the key goes in front ("must be ...")."""
    return PydanticCustomError("value", "{predicate}", {"predicate": predicate})


def says(sentence: str) -> PydanticCustomError:
    """As `must`, for a whole sentence."""
    return _final(sentence, "value", None)


def fault(path: Path, sentence: str, *, at: At = "value", see: Path | None = None) -> InitErrorDetails:
    """One error of a rule over several values; `see`: another place that it is about."""
    return InitErrorDetails(type=_final(sentence, at, see), loc=path, input=None)


def reworded(error: ValidationError, fields: Mapping[str, FieldInfo]) -> Iterator[InitErrorDetails]:
    """Pydantic's errors, and ours from sections further down, as ours; inputs are dropped.

    Without those that only follow from another: the value that a default would have been made from is wrong.
    """
    return (_reworded(each, fields) for each in error.errors() if each["type"] != "default_factory_not_called")


def _reworded(error: ErrorDetails, fields: Mapping[str, FieldInfo]) -> InitErrorDetails:
    known = error.get("ctx", {})
    if "sentence" in known:
        return fault(error["loc"], known["sentence"], at=known["at"], see=known["see"])
    if error["loc"][-1:] == ("[key]",):
        name = error["loc"][-2]
        return fault(error["loc"][:-1], f"{quote(name)} {_predicate(error, None)}", at="key")
    key = next((step for step in reversed(error["loc"]) if isinstance(step, str)), "")
    if error["type"] == "missing":
        return fault(error["loc"], _missing(key, fields.get(key)), at="parent")
    return fault(error["loc"], f'"{key}" {_predicate(error, fields.get(key))}')


def sentence(error: ErrorDetails) -> tuple[str, At, Path | None]:
    """What a reworded error says, what it points at, and the other place that it is about."""
    known = error.get("ctx", {})
    return known["sentence"], cast("At", known["at"]), cast("Path | None", known["see"])


def guess(word: object, known: Iterable[str]) -> str:
    """`, did you mean "batch_size"?`, or nothing."""
    if not isinstance(word, str) or len(word) > _SUGGESTIBLE:
        return ""
    by_fold = {name.replace("_", "").lower(): name for name in known}
    near = get_close_matches(word.replace("_", "").replace("-", "").lower(), by_fold, n=1, cutoff=0.7)
    return f", did you mean {quote(by_fold[near[0]])}?" if near else ""


def one_of(names: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _final(sentence: str, at: At, see: Path | None) -> PydanticCustomError:
    return PydanticCustomError("config", "{sentence}", {"sentence": sentence, "at": at, "see": see})


def _missing(key: str, field: FieldInfo | None) -> str:
    example = field.examples[0] if field is not None and field.examples else None
    return f'missing key "{key}"' + (f", for example {key}: {example}" if example else "")


def _predicate(error: ErrorDetails, field: FieldInfo | None) -> str:
    kind, known, value = error["type"], error.get("ctx", {}), error["input"]
    if "predicate" in known:
        return str(known["predicate"])
    if kind == "literal_error":
        allowed = [name.strip("'") for name in str(known["expected"]).replace(" or ", ", ").split(", ")]
        expected, hint = one_of(allowed), guess(value, allowed)
    elif kind == "too_long":
        expected, hint = f"a list of at most {known['max_length']}", ""
    elif kind in {"greater_than_equal", "less_than_equal", "greater_than"} and field is not None:
        expected, hint = _range(field), ""
    else:
        expected, hint = _EXPECTED.get(kind, ""), ' (write it in quotes: "...")' * _needs_quotes(kind, value)
    if not expected:
        return f"is not right: {error['msg']}"
    return f"has no value: it must be {expected}" if value is None else f"must be {expected}{hint}"


def _needs_quotes(kind: str, value: object) -> bool:
    return kind == "string_type" and isinstance(value, bool | int | float)


def _range(field: FieldInfo) -> str:
    low, high, above = (_limit(field, name) for name in ("ge", "le", "gt"))
    if above is not None:
        return f"above {above}"
    return f"at least {low}" if high is None else f"from {low} to {high}"


def _limit(field: FieldInfo, name: str) -> object:
    return next((limit for each in field.metadata if (limit := getattr(each, name, None)) is not None), None)

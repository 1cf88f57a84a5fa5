"""Pydantic's errors in our words: each a sentence that names the key, never the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic_core import InitErrorDetails, PydanticCustomError

from poller.config.problem import quote
from poller.config.tree import folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from poller.config.tree import At

Path = tuple[str | int, ...]
"""A place inside the configuration: keys and indices from the section down."""

Check = Callable[[str, object, Path], Iterable[InitErrorDetails]]
"""What is wrong with the value of a key, as written, at a path."""

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
_LAMBDA_SAYS = {
    "startingposition": "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
}
_SUGGESTIBLE = 64
_FORMS = (
    ("0[0-9]+", ", without a zero in front"),
    ("[0-9_]+_[0-9_]+", ', without "_"'),
    ("[0-9]+(:[0-9]+)+", ', not a time with ":"'),
    (r"(?s:.*)", ", without unit or quotes"),
)
"""What YAML 1.1 took for a number, and YAML 1.2 does not."""


class Held(str):
    """Text that a file holds: what is wrong with it is said of the key that names the file."""

    __slots__ = ("key",)

    key: str

    def __new__(cls, text: str, key: str) -> Self:
        """`key`: the one that names the file."""
        made = super().__new__(cls, text)
        made.key = key
        return made


def must(predicate: str) -> PydanticCustomError:
    """An error to raise in a validator of one value: the key goes in front ("must be ...")."""
    return PydanticCustomError("value", "{predicate}", {"predicate": predicate})


def says(sentence: str) -> PydanticCustomError:
    """As `must`, for a whole sentence."""
    return _final(sentence, "value")


def fault(path: Path, sentence: str, *, at: At = "value", see: Path | None = None) -> InitErrorDetails:
    """One error of a rule over several values; `see`: another place that it is about. Both paths start at one section."""
    return InitErrorDetails(type=_final(sentence, at, see, depth=len(path)), loc=path, input=None)


def reworded(error: ValidationError, fields: Mapping[str, FieldInfo], meant: AbstractSet[str]) -> Iterator[InitErrorDetails]:
    """Pydantic's errors, and ours from sections further down, as ours; inputs are dropped.

    Without those that only follow from another: the value that a default would have been made from is wrong, or the key that is
    missing was `meant` by one that is misspelt.
    """
    return (_reworded(each, fields) for each in error.errors(include_url=False) if not _follows(each, meant))


def _follows(error: ErrorDetails, meant: AbstractSet[str]) -> bool:
    return error["type"] == "default_factory_not_called" or (error["type"] == "missing" and error["loc"][-1] in meant)


def _reworded(error: ErrorDetails, fields: Mapping[str, FieldInfo]) -> InitErrorDetails:
    if (known := Fault.of(error)) is not None:
        return known.below(0)
    if error["loc"][-1:] == ("[key]",):
        name = error["loc"][-2]
        return fault(error["loc"][:-1], f"{quote(name)} {_predicate(error, None)}", at="key")
    key = next((step for step in reversed(error["loc"]) if isinstance(step, str)), "")
    if error["type"] == "missing":
        return fault(error["loc"], _missing(key, fields.get(key)), at="parent")
    predicate = _predicate(error, fields.get(key))
    if isinstance(error["input"], Held):
        named = error["input"].key
        return fault((*error["loc"][:-1], named), f'what the file of "{named}" holds {predicate}')
    subject = f'"{key}"' if error["loc"][-1:] == (key,) else f'an item of "{key}"'
    return fault(error["loc"], f"{subject} {predicate}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error as `reworded` leaves it: what it says, where, and the other place that it is about."""

    sentence: str
    path: Path
    at: At
    see: Path | None

    @classmethod
    def of(cls, error: ErrorDetails) -> Fault | None:
        """The fault in an error of pydantic; None where the error has not been reworded."""
        known, path = error.get("ctx", {}), error["loc"]
        if "sentence" not in known:
            return None
        see = known["see"]
        section = path[: len(path) - known["depth"]]
        return cls(sentence=known["sentence"], path=path, at=known["at"], see=None if see is None else (*section, *see))

    def below(self, steps: int) -> InitErrorDetails:
        """The same, without the first steps of its paths."""
        return fault(self.path[steps:], self.sentence, at=self.at, see=None if self.see is None else self.see[steps:])


def guess(word: object, known: Iterable[str]) -> str:
    """`, did you mean "batch_size"?`, or nothing."""
    near = nearest(word, known)
    return "" if near is None else f", did you mean {quote(near)}?"


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The name that somebody most likely meant."""
    if not isinstance(word, str) or len(word) > _SUGGESTIBLE:
        return None
    from difflib import get_close_matches  # noqa: PLC0415  (`poller validate` is to feel instant where all is well)

    by_fold = {folded(name): name for name in known}
    near = get_close_matches(folded(word).replace("-", ""), by_fold, n=1, cutoff=0.7)
    return by_fold[near[0]] if near else None


def one_of(names: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _final(sentence: str, at: At, see: Path | None = None, *, depth: int = 0) -> PydanticCustomError:
    """`depth`: how many steps at the end of the error's path lead from the section in which `see` starts."""
    return PydanticCustomError("config", "{sentence}", {"sentence": sentence, "at": at, "see": see, "depth": depth})


def _missing(key: str, field: FieldInfo | None) -> str:
    example = field.examples[0] if field is not None and field.examples else None
    words = _LAMBDA_SAYS.get(folded(key))
    return (
        f'missing key "{key}"' + (f", for example {key}: {example}" if example else "") + (f" (Lambda: {words})" if words else "")
    )


def _predicate(error: ErrorDetails, field: FieldInfo | None) -> str:
    known, value = error.get("ctx", {}), error["input"]
    if "predicate" in known:
        return str(known["predicate"])
    expected = _expected(error, field)
    if expected is None:
        return f"is not right: {error['msg']}"
    if value is None:
        return f"has no value: it must be {expected}"
    return f"must be {expected}{_hint(error['type'], value)}"


def _expected(error: ErrorDetails, field: FieldInfo | None) -> str | None:
    kind, known = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        allowed = _allowed(str(known["expected"]))
        return one_of(allowed) + (guess(error["input"], allowed) if len(allowed) > 1 else "")
    if kind == "too_long":
        return f"a list of at most {known['max_length']}"
    if kind in {"greater_than_equal", "less_than_equal", "greater_than"} and field is not None:
        return _range(field)
    return _EXPECTED.get(kind)


def _allowed(expected: str) -> list[str]:
    """The values in pydantic's `'a', 'b' or 'c'`."""
    return [name.strip("'") for name in expected.replace(" or ", ", ").split(", ")]


def _hint(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return ', put it in quotes: "..."'
    if kind in {"int_type", "float_type"} and isinstance(value, str) and value[:1].isdigit():
        return next(hint for form, hint in _FORMS if re.fullmatch(form, value))
    if kind == "bool_type" and isinstance(value, str) and value.lower() in {"yes", "no", "on", "off"}:
        return "; yes, no, on and off are text"
    return ""


def _range(field: FieldInfo) -> str:
    low, high, above = (_limit(field, name) for name in ("ge", "le", "gt"))
    if above is not None:
        return f"above {above}"
    return f"at least {low}" if high is None else f"from {low} to {high}"


def _limit(field: FieldInfo, name: str) -> object:
    return next((limit for each in field.metadata if (limit := getattr(each, name, None)) is not None), None)

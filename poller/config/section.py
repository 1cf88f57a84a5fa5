"""What every section of the configuration has in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic import ValidationInfo as Info

from poller.config.problem import quote
from poller.config.tree import folded
from poller.config.wording import fault, guess, reworded

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import InitErrorDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a configuration comes from.

    Attributes:
        folder: absolute; relative paths start here.
        now: Unix seconds; None: it is not known, and nothing is too late.
    """

    folder: Path
    now: float | None = None


def origin(info: Info) -> Origin:
    """The origin that the loader gave; a model that is built by hand comes from the working directory."""
    return info.context if isinstance(info.context, Origin) else Origin(folder=Path.cwd())


class Section(BaseModel):
    """A frozen part of the configuration that reports everything that is wrong with it in one `ValidationError`.

    Unknown keys, wrong values and broken rules between values are found together: rules look at what was written, not at what
    was understood. Messages are ours (`wording.py`); no value is printed.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    refused: ClassVar[Mapping[str, str]] = {}
    """Known keys that cannot be used, in snake case, and why: "is not supported yet: ..."."""

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterable[InitErrorDetails]:
        """What is wrong between the values of this section, as written: any value may be missing or of any type."""
        del given
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _everything_at_once(cls, given: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, Mapping):
            return handler(given)
        usable, faults = _sorted_out(cls, given)
        faults += cls.rules(given)
        try:
            made = handler(usable)
        except ValidationError as error:
            faults = [*reworded(error, _fields(cls)), *faults]
        else:
            if not faults:
                return made
        raise ValidationError.from_exception_data(cls.__name__, faults, hide_input=True)


def _pascal_case(name: str) -> str:
    return "UUID" if name == "uuid" else "".join(word.capitalize() for word in name.split("_"))


class LambdaSection(Section):
    """A section that Lambda has too: keys in snake case, or as Lambda spells them."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(name, _pascal_case(name))),
        populate_by_name=True,
    )


def given_value(section: object, field: str) -> object:
    """What was written for a field, in either spelling; None where nothing was, or where there is no such section."""
    if isinstance(section, Section):
        return getattr(section, field, None)
    if not isinstance(section, Mapping):
        return None
    key = given_key(section, field)
    return None if key is None else section[key]


def given_key(section: object, field: str) -> str | None:
    """How a field was spelt; None where it was not written."""
    if not isinstance(section, Mapping):
        return None
    return next((key for key in (field, _pascal_case(field)) if key in section), None)


def given_text(section: object, field: str) -> str | None:
    """As `given_value`, where it is text."""
    value = given_value(section, field)
    return value if isinstance(value, str) else None


def _sorted_out(cls: type[Section], given: Mapping[str, object]) -> tuple[dict[str, object], list[InitErrorDetails]]:
    """The entries that are fields, each once, and what is wrong with the other keys."""
    fields = _fields(cls)
    usable: dict[str, object] = {}
    faults: list[InitErrorDetails] = []
    seen: dict[int, str] = {}
    for key, value in given.items():
        field = fields.get(key)
        if field is None:
            faults.append(fault((str(key),), _stranger(cls, str(key), fields), at="key"))
        elif (before := seen.setdefault(id(field), key)) != key:
            faults.append(fault((key,), f"{quote(key)} repeats {quote(before)}", at="key", see=(before,)))
        else:
            usable[key] = value
    return usable, faults


@cache
def _fields(cls: type[Section]) -> Mapping[str, FieldInfo]:
    """Every spelling of every field."""
    spelt: dict[str, FieldInfo] = {}
    for name, field in cls.model_fields.items():
        spelt[name] = field
        if isinstance(field.validation_alias, AliasChoices):
            spelt |= {choice: field for choice in field.validation_alias.choices if isinstance(choice, str)}
    return spelt


def _stranger(cls: type[Section], key: str, spellings: Iterable[str]) -> str:
    for name, reason in cls.refused.items():
        if folded(name) == folded(key):
            return f"{quote(key)} {reason}"
    style = [name for name in spellings if name[:1].isupper() == key[:1].isupper()]
    return f"unknown key {quote(key)}{guess(key, style or spellings)}"

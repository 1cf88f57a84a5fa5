"""What every section of the configuration has in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
from pydantic_core import core_schema

from poller.config.problem import quote
from poller.config.tree import folded
from poller.config.wording import Check, fault, guess, nearest, reworded

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
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
        defer_build=True,  # a configuration uses a part of the models, and `poller validate` is to feel instant
    )

    refused: ClassVar[Mapping[str, str]] = {}
    """Known keys that cannot be used, in snake case, and why: "is not supported yet: ..."."""

    unbuilt: ClassVar[Mapping[str, Check]] = {}
    """What Lambda would say to the values of keys in `refused`: who writes a wrong one learns of both at once."""

    @classmethod
    def from_files(cls, given: dict[str, object], info: Info) -> Iterable[InitErrorDetails]:
        """Puts what files hold where it belongs, for keys that name files (`*_file`); says what is wrong with those."""
        del given, info
        return ()

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterable[InitErrorDetails]:
        """What is wrong between the values of this section, as written: any value may be missing or of any type."""
        del given
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _everything_at_once(cls, given: object, handler: ModelWrapValidatorHandler[Self], info: Info) -> Self:
        if not isinstance(given, Mapping):
            return handler(given)
        usable, faults = _sorted_out(cls, given)
        faults += cls.from_files(usable, info)
        faults += cls.rules(given)
        try:
            made = handler(usable)
        except ValidationError as error:
            faults = [*reworded(error, _fields(cls), _meant(cls, given)), *faults]
        else:
            if not faults:
                return made
        raise ValidationError.from_exception_data(cls.__name__, faults, hide_input=True)


def pascal_case(name: str) -> str:
    """`batch_size` as Lambda spells it: `BatchSize`."""
    return "UUID" if name == "uuid" else "".join(word.capitalize() for word in name.split("_"))


@dataclass(frozen=True, slots=True)
class Chosen:
    """In an annotation: `choose` says of which model a value is, and makes it.

    Instead of pydantic's union, so that no tag gets into the paths of errors, and no model is built that nobody uses.
    """

    choose: Callable[[object, Info], object]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Asks for no schema of the union itself."""
        del source, handler
        return core_schema.with_info_plain_validator_function(self.choose)


class LambdaSection(Section):
    """A section that Lambda has too: keys in snake case, or as Lambda spells them."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(name, pascal_case(name))),
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
    return next((key for key in (field, pascal_case(field)) if key in section), None)


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
            faults += _stranger(cls, str(key), value, fields)
        elif (before := seen.setdefault(id(field), key)) != key:
            faults.append(fault((key,), f"{quote(key)} repeats {quote(before)}", at="key", see=(before,)))
        else:
            usable[key] = value
    return usable, faults


def _meant(cls: type[Section], given: Mapping[str, object]) -> set[str]:
    """The fields that misspelt keys were most likely meant to be."""
    fields, names = _fields(cls), {id(field): name for name, field in cls.model_fields.items()}
    return {names[id(fields[near])] for key in given if key not in fields and (near := nearest(key, fields))}


@cache
def _fields(cls: type[Section]) -> Mapping[str, FieldInfo]:
    """Every spelling of every field."""
    spelt: dict[str, FieldInfo] = {}
    for name, field in cls.model_fields.items():
        spelt[name] = field
        if isinstance(field.validation_alias, AliasChoices):
            spelt |= {choice: field for choice in field.validation_alias.choices if isinstance(choice, str)}
    return spelt


def _stranger(cls: type[Section], key: str, value: object, spellings: Iterable[str]) -> Iterable[InitErrorDetails]:
    """What to say of a key that is no field; of one that Lambda has, also what is wrong with its value."""
    known = next((name for name in cls.refused if folded(name) == folded(key)), None)
    if known is not None:
        yield fault((key,), f"{quote(key)} {cls.refused[known]}", at="key")
        yield from cls.unbuilt[known](key, value, (key,)) if known in cls.unbuilt else ()
        return
    style = [name for name in spellings if name[:1].isupper() == key[:1].isupper()]
    yield fault((key,), f"unknown key {quote(key)}{guess(key, style or spellings)}", at="key")

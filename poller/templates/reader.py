"""The text of a template as plain values: short forms of YAML (`!Ref X`) become long ones (`{"Ref": "X"}`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

import yaml

from poller.errors import PollerError

if TYPE_CHECKING:
    from pathlib import Path

Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | int | float | bool | None"
"""What a template holds."""

MAX_BYTES: Final = 1_000_000
"""What CloudFormation takes."""

PLAIN: Final = frozenset({"Ref", "Condition"})
"""Short forms whose long form has no `Fn::`."""


class TemplateError(PollerError):
    """This template, or this account, cannot be imported; the message says why."""


def read(path: Path) -> dict[str, Tree]:
    """The template in a file. Raises `TemplateError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise TemplateError(f"{path}: larger than {MAX_BYTES:,} bytes: this is no template")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TemplateError(f"{path}: not UTF-8") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> dict[str, Tree]:
    """A template, JSON or YAML. Raises `TemplateError`."""
    try:
        tree = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, _Loader)  # noqa: S506  (a safe one)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise TemplateError(f"{place}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise TemplateError(f"{name}: {' '.join(str(error).split())}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise TemplateError(f"{name}: {error}") from None
    except RecursionError:
        raise TemplateError(f"{name}: nested too deeply") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("Resources"), dict):
        raise TemplateError(f"{name}: no template of SAM or CloudFormation: it has no Resources")
    return tree


class _Loader(yaml.SafeLoader):
    """Knows the tags of CloudFormation, and takes dates for text, as they are meant there (2010-09-09)."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's own way)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Tree:
    value: Tree
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
            if suffix == "GetAtt":
                value = list(str(value).split(".", 1))
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            assert isinstance(node, yaml.MappingNode)  # noqa: S101  (there is no other kind)
            value = {str(key): each for key, each in loader.construct_mapping(node, deep=True).items()}
    return {suffix if suffix in PLAIN else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)

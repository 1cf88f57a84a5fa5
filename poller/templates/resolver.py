"""What the values of a template come to, as far as anybody can say without deploying it.

Source: AWS CloudFormation user guide, intrinsic functions, pseudo parameters and return values of resources.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final

from poller.templates.conditions import evaluate
from poller.templates.reader import TemplateError
from poller.templates.resources import ATTRIBUTES, NAMES, REFS, STREAM_LABEL
from poller.templates.values import NO_VALUE, NoValue, Unknown, clean, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from poller.templates.reader import Tree
    from poller.templates.values import Surroundings, Value

MOST_VALUES: Final = 200_000
"""Values that one import looks at: aliases can stand for far more than any template needs."""

_VARIABLE: Final = re.compile(r"\$\{(!?)([^}]*)\}")


class Resolver:
    """Resolves the values of one template.

    Attributes:
        assumed: what had to be made up since it was last emptied: `region`, `account`, `the name of X`.
    """

    def __init__(self, template: Mapping[str, Tree], surroundings: Surroundings) -> None:
        self._template = template
        self._surroundings = surroundings
        self._left = MOST_VALUES
        self._open: set[str] = set()
        self.assumed: set[str] = set()
        self._functions: dict[str, Callable[[Tree], Value]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::If": self._if,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": self._base64,
            "Fn::ToJsonString": self._to_json,
            "Fn::ImportValue": self._import,
        }

    def section(self, name: str) -> dict[str, Tree]:
        """A section of the template; empty where it has none."""
        found = self._template.get(name)
        return found if isinstance(found, dict) else {}

    def properties(self, resource: str) -> dict[str, Tree]:
        """The properties of a resource as written."""
        found = self.section("Resources").get(resource)
        given = found.get("Properties") if isinstance(found, dict) else None
        return given if isinstance(given, dict) else {}

    def kind(self, resource: str) -> str:
        """The type of a resource; empty where there is none of this name."""
        found = self.section("Resources").get(resource)
        return str(found.get("Type", "")) if isinstance(found, dict) else ""

    def resolve(self, value: Tree) -> Value:
        """What a value comes to. Parts that nobody can know are `Unknown`."""
        self._left -= 1
        if self._left < 0:
            raise TemplateError("the template stands for more values than any template needs")
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if not isinstance(each, NoValue)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name in self._functions:
                return self._functions[name](argument)
            if name.startswith("Fn::"):
                return Unknown("unknown", f"!{name.removeprefix('Fn::')}")
        resolved = {name: self.resolve(each) for name, each in value.items()}
        return {name: each for name, each in resolved.items() if not isinstance(each, NoValue)}

    def text(self, value: Tree) -> str | Unknown:
        """A value that has to be text."""
        found = self.resolve(value)
        if isinstance(found, Unknown):
            return found
        if isinstance(found, bool):
            return str(found).lower()
        return str(found) if isinstance(found, (str, int, float)) else Unknown("unknown", "a value that is no text")

    # ------------------------------------------------------------------------------------------------ references

    def _ref(self, argument: Tree) -> Value:
        name = str(argument)
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._surroundings.pseudo:
            self._assume(name)
            return self._surroundings.pseudo[name]
        if name in self.section("Parameters"):
            return self._parameter(name)
        kind = self.kind(name)
        return self._returned(name, REFS[kind]) if kind in REFS else Unknown(clean(name), f"!Ref {name}")

    def _assume(self, pseudo: str) -> None:
        if pseudo == "AWS::Region" and self._surroundings.region is None:
            self.assumed.add("the region (--region)")
        if pseudo == "AWS::AccountId" and self._surroundings.account is None:
            self.assumed.add("the account (--account)")

    def _parameter(self, name: str) -> Value:
        given = self.section("Parameters")[name]
        declared = given if isinstance(given, dict) else {}
        kind = str(declared.get("Type", "String"))
        value: Tree = self._surroundings.parameters.get(name, declared.get("Default"))
        secret = bool(declared.get("NoEcho")) and name not in self._surroundings.parameters
        if value is None or secret or (kind.startswith("AWS::SSM::") and name not in self._surroundings.parameters):
            return Unknown(clean(name), f"parameter {name} (--parameter {name}=...)")
        if kind == "CommaDelimitedList" or kind.startswith("List<"):
            return [part.strip() for part in str(value).split(",")]
        return self.resolve(value)

    def _attribute(self, argument: Tree) -> Value:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        if not isinstance(parts, list) or len(parts) < 2:  # noqa: PLR2004  (a resource and an attribute)
            return Unknown("unknown", "!GetAtt")
        name, attribute = str(parts[0]), ".".join(str(self.resolve(part)) for part in parts[1:])
        found = ATTRIBUTES.get((self.kind(name), attribute))
        return self._returned(name, found) if found else Unknown(clean(name), f"!GetAtt {name}.{attribute}")

    def _returned(self, resource: str, form: str) -> str | Unknown:
        """What a resource returns: `form` with its name, and what else is asked for, filled in."""
        if resource in self._open:
            return Unknown(clean(resource), f"{resource}, which refers to itself")
        self._open.add(resource)
        try:
            filled = {"name": self.name_of(resource), "function": "", "alias": ""}
            if "{function}" in form:
                filled["function"] = self._of_property(resource, "FunctionName").rpartition(":")[2]
                filled["alias"] = self._of_property(resource, "Name")
            if "{stream}" in form:
                filled["stream"] = self._of_property(resource, "StreamARN")
        finally:
            self._open.discard(resource)
        if form.endswith(STREAM_LABEL):
            self.assumed.add("the time of the stream (the table's LatestStreamArn tells it)")
        for pseudo in ("AWS::Region", "AWS::AccountId"):
            if "{" + pseudo.partition("::")[2] + "}" in form:
                self._assume(pseudo)
        known = {name.partition("::")[2]: value for name, value in self._surroundings.pseudo.items()}
        return form.format(**filled, **known)

    def _of_property(self, resource: str, name: str) -> str:
        found = self.text(self.properties(resource).get(name))
        return found.guess if isinstance(found, Unknown) else found

    def name_of(self, resource: str) -> str:
        """The name of a resource; its logical id where CloudFormation would make one up."""
        key = NAMES.get(self.kind(resource))
        given = self.properties(resource).get(key) if key else None
        if given is not None:
            found = self.text(given)
            if isinstance(found, Unknown):
                self.assumed.add(f"the name of {resource} ({found.why})")
                return found.guess
            return found
        if "Function" not in self.kind(resource):
            self.assumed.add(f"the name of {resource} (CloudFormation chooses one)")
        fifo = self.kind(resource) == "AWS::SQS::Queue" and self.properties(resource).get("FifoQueue") in {True, "true"}
        return clean(resource) + ".fifo" * fifo

    # --------------------------------------------------------------------------------------- text and collections

    def _sub(self, argument: Tree) -> Value:
        text, given = [*argument, {}, {}][:2] if isinstance(argument, list) else (argument, {})
        if not isinstance(text, str) or not isinstance(given, dict):
            return Unknown("unknown", "!Sub")
        unknown: list[str] = []

        def value(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return f"${{{name}}}"
            found = self.text(given.get(name, {"Fn::GetAtt" if "." in name else "Ref": name}))
            if isinstance(found, Unknown):
                unknown.append(found.why)
                return found.guess
            return found

        made = _VARIABLE.sub(value, text)
        return Unknown(made, ", ".join(unknown)) if unknown else made

    def _join(self, argument: Tree) -> Value:
        match argument:
            case [str(separator), parts]:
                found = self.resolve(parts)
                if isinstance(found, list):
                    return joined(separator, found)
        return Unknown("unknown", "!Join")

    def _select(self, argument: Tree) -> Value:
        match argument:
            case [index, parts]:
                found, number = self.resolve(parts), self.text(index)
                if isinstance(found, list) and isinstance(number, str) and number.isdigit() and int(number) < len(found):
                    return found[int(number)]
        return Unknown("unknown", "!Select")

    def _split(self, argument: Tree) -> Value:
        match argument:
            case [str(separator), text]:
                found = self.text(text)
                return list(found.split(separator)) if isinstance(found, str) else Unknown("unknown", "!Split")
        return Unknown("unknown", "!Split")

    def _find_in_map(self, argument: Tree) -> Value:
        found: Tree = self.section("Mappings")
        path = argument[:3] if isinstance(argument, list) else []
        for part in path:
            key = self.text(part)
            if not isinstance(found, dict) or not isinstance(key, str) or key not in found:
                return Unknown("unknown", "!FindInMap")
            found = found[key]
        return self.resolve(found)

    def _base64(self, argument: Tree) -> Value:
        found = self.text(argument)
        return found if isinstance(found, Unknown) else base64.b64encode(found.encode()).decode()

    def _to_json(self, argument: Tree) -> Value:
        found = self.resolve(argument)
        try:
            return json.dumps(found, separators=(",", ":"))
        except TypeError:
            return Unknown("unknown", "!ToJsonString of something unknown")

    def _import(self, argument: Tree) -> Value:
        found = self.text(argument)
        name = found.guess if isinstance(found, Unknown) else found
        return Unknown(clean(name), f"!ImportValue {name}")

    # ------------------------------------------------------------------------------------------------- conditions

    def _if(self, argument: Tree) -> Value:
        match argument:
            case [str(name), then, otherwise]:
                holds = self.holds(name)
                if holds is None:
                    return Unknown("unknown", f"!If {name}")
                return self.resolve(then if holds else otherwise)
        return Unknown("unknown", "!If")

    def holds(self, name: str) -> bool | None:
        """Whether a condition holds; None: nobody can say."""
        if name in self._open:
            return None
        self._open.add(name)
        try:
            return evaluate(self.section("Conditions").get(name), self.text, self.holds)
        finally:
            self._open.discard(name)

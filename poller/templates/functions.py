"""Functions of a template as functions of ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from poller.templates.draft import Draft, number_or_flag, our_name, plain, says
from poller.templates.resources import FUNCTION, SAM_FUNCTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from poller.templates.reader import Tree
    from poller.templates.resolver import Resolver
    from poller.templates.text import Plain
    from poller.templates.values import Value

_RENAMED: Final = {"Timeout": "timeout", "MemorySize": "memory_size", "ReservedConcurrentExecutions": "reserved_concurrency"}

_RUNTIMES: Final = {
    "python": "this is the Python that runs poller, unless `python` names another",
    "nodejs": "this is the Node of PATH, unless `node` names another",
    "provided": "the file bootstrap is run by this host",
}
"""What to know about the languages that are carried over."""

_ABSENT: Final = {
    "Layers": "put their content below the folder of `code`",
    "VpcConfig": "a function has the network of this host",
    "Role": "handlers see no AWS credentials; `credentials: inherit` hands them poller's own",
    "Policies": "handlers see no AWS credentials; `credentials: inherit` hands them poller's own",
    "DeadLetterConfig": "it is for asynchronous invocations",
    "EventInvokeConfig": "it is for asynchronous invocations",
    "FunctionUrlConfig": "there are no function URLs",
    "ImageConfig": "it belongs to the image, which runs beside poller: executor http",
    "FileSystemConfigs": "a function has the file system of this host",
    "EphemeralStorage": "each worker has a temporary folder of its own, TMPDIR",
    "ProvisionedConcurrencyConfig": "workers are kept while they are used",
    "DurableConfig": "there are no durable functions",
    "CapacityProviderConfig": "a function has the processors of this host",
}
"""Properties that cannot be carried over, and what to know about it. All others change nothing here."""


def from_template(resolver: Resolver, template: Path, folder: Path) -> Iterator[Draft]:
    """The template's functions. `folder` is where the configuration will be, which paths start from."""
    for name in resolver.section("Resources"):
        if resolver.kind(name) in {FUNCTION, SAM_FUNCTION}:
            yield _function(name, resolver, template, folder)


def _function(name: str, resolver: Resolver, template: Path, folder: Path) -> Draft:
    properties = resolver.properties(name)
    if resolver.kind(name) == SAM_FUNCTION:
        properties = with_globals(properties, resolver.section("Globals").get("Function"))
    found = {key: resolver.resolve(each) for key, each in properties.items() if key != "Events"}
    draft = Draft(kind="function", name=our_name(resolver.name_of(name)), origin=name)
    carry(draft, {key: plain(each)[0] for key, each in found.items()})
    for key, value in found.items():
        _ask_about(draft, key, value)
    _ask_about_variables(draft, properties.get("Environment"), resolver)
    _code(draft, properties, template, folder)
    resolver.assumed.clear()
    return draft


def with_globals(properties: dict[str, Tree], defaults: Tree) -> dict[str, Tree]:
    """As SAM does it: maps are merged, lists are joined, anything else the function's own wins."""
    if not isinstance(defaults, dict):
        return properties
    merged = defaults | properties
    for key in defaults.keys() & properties.keys():
        general, own = defaults[key], properties[key]
        if isinstance(general, dict) and isinstance(own, dict) and not _is_intrinsic(general) and not _is_intrinsic(own):
            merged[key] = with_globals(own, general)
        elif isinstance(general, list) and isinstance(own, list):
            merged[key] = [*general, *own]
    return merged


def _is_intrinsic(value: dict[str, Tree]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def carry(draft: Draft, given: Mapping[str, Plain]) -> None:
    """Puts what Lambda says of a function into a draft: of a template, or of GetFunctionConfiguration."""
    fields = draft.fields
    fields["executor"] = "process"
    runtime = given.get("Runtime")
    ours = next((name for name in _RUNTIMES if isinstance(runtime, str) and runtime.startswith(name)), None)
    fields["runtime"] = ours or ("python" if runtime is None else runtime)
    if ours is not None:
        draft.hints["runtime"] = f"was {runtime}; {_RUNTIMES[ours]}"
    fields["handler"] = given.get("Handler")
    if not isinstance(fields["handler"], str):
        fields["handler"] = "app.handler"
        draft.ask("handler", "module.function")
    fields["code"] = "."
    for theirs, ours in _RENAMED.items():
        if (value := number_or_flag(given.get(theirs))) is not None:
            fields[ours] = value
    if given.get("PackageType") == "Image" or "ImageUri" in given:
        draft.off = "it is a container image: run it beside poller, executor http"
    environment = given.get("Environment")
    variables = environment.get("Variables") if isinstance(environment, dict) else None
    if isinstance(variables, dict) and variables:
        fields["environment"] = {key: _variable(draft, key, value) for key, value in variables.items()}
    draft.lost += [f"{key} ({why})" for key, why in _ABSENT.items() if given.get(key)]


def _variable(draft: Draft, key: str, value: Plain) -> Plain:
    if isinstance(value, str) and "{{resolve:" in value:
        draft.ask(f"environment.{key}", f"the template says {value}")
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ask_about(draft: Draft, key: str, value: Value) -> None:
    """Marks what was guessed."""
    whys = plain(value)[1]
    if not whys:
        return
    if _RENAMED.get(key) in draft.fields:
        draft.drop(_RENAMED[key], says(whys))
    elif key in {"Handler", "Runtime"}:
        draft.ask(key.lower(), says(whys))


def _ask_about_variables(draft: Draft, environment: Tree, resolver: Resolver) -> None:
    """The same for environment variables, one by one."""
    variables = environment.get("Variables") if isinstance(environment, dict) else None
    for name, given in variables.items() if isinstance(variables, dict) else ():
        resolver.assumed.clear()
        if what := says(plain(resolver.resolve(given))[1], resolver.assumed):
            draft.ask(f"environment.{name}", what)


def _code(draft: Draft, properties: dict[str, Tree], template: Path, folder: Path) -> None:
    """`CodeUri` of SAM is a folder beside the template; whatever else is elsewhere."""
    uri = properties.get("CodeUri")
    if isinstance(uri, str) and "://" not in uri:
        draft.fields["code"] = os.path.relpath(template.parent / uri, folder)
    elif properties.get("InlineCode") or (isinstance(code := properties.get("Code"), dict) and "ZipFile" in code):
        draft.ask("code", "a folder; the code stands in the template")
    else:
        draft.ask("code", "the folder of the code" + (f", {uri} there" if isinstance(uri, str) else ""))


def placeholder(name: str) -> Draft:
    """A function that a mapping names and the template does not have."""
    draft = Draft(kind="function", name=name, origin="not in the template")
    draft.fields = {"executor": "process", "runtime": "python", "handler": "app.handler", "code": "."}
    draft.ask("handler", "module.function")
    draft.ask("code", "the folder of the code")
    return draft

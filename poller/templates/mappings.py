"""Event source mappings of a template, as SAM events or resources of their own, as mappings of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from poller.templates.draft import Draft, number_or_flag, our_name, plain, says, snake
from poller.templates.functions import with_globals
from poller.templates.resources import MAPPING, SAM_FUNCTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from poller.templates.reader import Tree
    from poller.templates.resolver import Resolver
    from poller.templates.text import Plain

SOURCES: Final[Mapping[str, tuple[str, str]]] = {
    "Kinesis": ("Stream", "arn:aws:kinesis:{region}:{account}:stream/{name}"),
    "DynamoDB": ("Stream", "arn:aws:dynamodb:{region}:{account}:table/{name}/stream/2026-01-01T00:00:00.000"),
    "SQS": ("Queue", "arn:aws:sqs:{region}:{account}:{name}"),
    "MSK": ("Stream", "arn:aws:kafka:{region}:{account}:cluster/{name}/0"),
    "MQ": ("Broker", "arn:aws:mq:{region}:{account}:broker:{name}:b-0"),
    "DocumentDB": ("Cluster", "arn:aws:rds:{region}:{account}:cluster:{name}"),
    "SelfManagedKafka": ("", ""),
}
"""Events of SAM that are pulled: the property that names the source, and an ARN for one that is not known."""

_ARN: Final = re.compile(r"arn:aws[a-z-]*:[a-z0-9]+:[a-z0-9-]*:[0-9]{0,12}:\S+")
_STREAM_ARN: Final = re.compile("arn:[^:]*:(kinesis|dynamodb):")
_TEXTS: Final = frozenset({"event_source_arn", "function_name", "starting_position", "name"})
_NOT_OURS: Final = frozenset({"event_source_arn", "function_name", "name"})
_UNSAID: Final = frozenset({"Tags", "MetricsConfig", "LoggingConfig"})
"""Of Lambda's mappings, what changes nothing here."""


def from_template(resolver: Resolver, functions: Mapping[str, Draft]) -> Iterator[Draft]:
    """The template's mappings. `functions` are its functions by their logical names; what pushes to them is said there."""
    for name in resolver.section("Resources"):
        if resolver.kind(name) == SAM_FUNCTION:
            yield from _events(name, resolver, functions[name])
        elif resolver.kind(name) == MAPPING:
            yield _resource(name, resolver, functions)


def _events(name: str, resolver: Resolver, function: Draft) -> Iterator[Draft]:
    properties = with_globals(resolver.properties(name), resolver.section("Globals").get("Function"))
    events = properties.get("Events")
    for key, event in events.items() if isinstance(events, dict) else ():
        kind = str(event.get("Type", "?")) if isinstance(event, dict) else "?"
        if kind not in SOURCES or not isinstance(event, dict):
            function.lost.append(f"event {key}: {kind} is pushed by AWS, there is nothing to poll")
            continue
        given = event.get("Properties")
        draft = Draft(kind="mapping", name=our_name(f"{function.name}-{key}"), origin=f"{name}, event {key}")
        properties_of = dict(given) if isinstance(given, dict) else {}
        source, _ = SOURCES[kind]
        _source(draft, kind, properties_of.pop(source, None), resolver)
        draft.fields["function_name"] = function.name
        _settings(draft, properties_of, resolver)
        yield draft


def _resource(name: str, resolver: Resolver, functions: Mapping[str, Draft]) -> Draft:
    properties = dict(resolver.properties(name))
    draft = Draft(kind="mapping", name=our_name(name), origin=name)
    source = properties.pop("EventSourceArn", None)
    _source(draft, _kind_of(resolver.text(source) if source is not None else "", properties), source, resolver)
    called = resolver.text(properties.pop("FunctionName", None))
    text, whys = plain(called)
    draft.fields["function_name"] = function_of(draft, str(text))
    known = {each.name for each in functions.values()}
    if whys and draft.fields["function_name"] not in known:
        draft.ask("function_name", says(whys))
    _settings(draft, properties, resolver)
    return draft


def _kind_of(source: object, properties: Mapping[str, Tree]) -> str:
    """Which event of SAM it would be."""
    if "SelfManagedEventSource" in properties:
        return "SelfManagedKafka"
    services = {"kinesis": "Kinesis", "dynamodb": "DynamoDB", "sqs": "SQS", "kafka": "MSK", "mq": "MQ", "rds": "DocumentDB"}
    service = source.split(":")[2] if isinstance(source, str) and _ARN.fullmatch(source) else ""
    return services.get(service) or ("Kinesis" if "StartingPosition" in properties else "SQS")


def function_of(draft: Draft, called: str) -> str:
    """The name in a function's name or ARN; versions and aliases there are none."""
    name, qualifier = called, ""
    if ":function:" in called:
        name, _, qualifier = called.partition(":function:")[2].partition(":")
    elif ":" in called:
        parts = called.split(":")
        name, qualifier = (parts[1], parts[2] if len(parts) > 2 else "") if parts[0].isdigit() else (parts[0], parts[1])  # noqa: PLR2004
    if qualifier and qualifier != "$LATEST":
        draft.lost.append(f"the function's version or alias {qualifier} (functions have none here)")
    return our_name(name)


def _source(draft: Draft, kind: str, given: Tree, resolver: Resolver) -> None:
    """The ARN of the source, or one in its place that says what is missing."""
    resolver.assumed.clear()
    text, whys = plain(resolver.text(given)) if given is not None else ("", [])
    if not (isinstance(text, str) and _ARN.fullmatch(text)) and (form := SOURCES[kind][1]):
        whys = whys or [f"{text!r}, which is no ARN"]
        pseudo = {"region": resolver.resolve({"Ref": "AWS::Region"}), "account": resolver.resolve({"Ref": "AWS::AccountId"})}
        text = form.format(name=our_name(str(text or "unknown")), **pseudo)
    draft.fields["name"] = draft.name
    draft.fields["event_source_arn"] = text or None
    if not text:
        draft.off = "its source has no ARN: self-managed Kafka is not supported yet"
    _say(draft, "event_source_arn", whys, resolver)


def _say(draft: Draft, key: str, whys: list[str], resolver: Resolver) -> None:
    """What was guessed or assumed for a value."""
    if what := says(whys, resolver.assumed):
        draft.ask(key, what)
    resolver.assumed.clear()


def _settings(draft: Draft, properties: Mapping[str, Tree], resolver: Resolver) -> None:
    """Everything else: our keys are Lambda's in another spelling."""
    for name, given in properties.items():
        if name in _UNSAID:
            continue
        resolver.assumed.clear()
        value, whys = plain(resolver.resolve(given))
        _carry_setting(draft, name, value)
        key = snake(name)
        if whys and key != "destination_config" and key in draft.fields:
            del draft.fields[key]
            draft.lost.append(f"{key} ({says(whys)})")
        elif key in draft.fields:
            at = "destination_config.on_failure.destination" if key == "destination_config" else key
            _say(draft, at, whys, resolver)
    if _STREAM_ARN.match(str(draft.fields.get("event_source_arn"))) and "starting_position" not in draft.fields:
        draft.fields["starting_position"] = "TRIM_HORIZON"
        draft.ask("starting_position", "the template does not say where a new mapping begins")


def carry(draft: Draft, settings: Mapping[str, Plain]) -> None:
    """Puts Lambda's settings of a mapping into a draft: those of an account, where every value is known."""
    for name, value in settings.items():
        _carry_setting(draft, name, value)


def _carry_setting(draft: Draft, name: str, value: Plain) -> None:
    key = snake(name)
    if key in _NOT_OURS or value is None:
        return
    ours = respelt(value)
    if key == "destination_config":
        ours = _without_type(ours)
    if ours not in ({}, []):
        draft.fields[key] = ours if key in _TEXTS else number_or_flag(ours)


def respelt(value: Plain) -> Plain:
    """Keys in our spelling, all the way down; a pattern is not looked into."""
    if isinstance(value, list):
        return [respelt(each) for each in value]
    if isinstance(value, dict):
        return {snake(key): each if key == "Pattern" else respelt(each) for key, each in value.items()}
    return value


def _without_type(config: Plain) -> Plain:
    """SAM's destinations say of what type they are; here the ARN does. Nothing is left of an empty one."""
    if not isinstance(config, dict):
        return config
    ends = {
        key: {"destination": end["destination"]}
        for key, end in config.items()
        if isinstance(end, dict) and end.get("destination")
    }
    return dict[str, "Plain"](ends)

"""The mappings of an AWS account, and the functions that they name: read only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from poller.apis.client import AwsClients
from poller.apis.errors import Call, perform
from poller.errors import SourceGone
from poller.templates.draft import Draft, our_name
from poller.templates.functions import carry as carry_function
from poller.templates.mappings import carry as carry_mapping
from poller.templates.mappings import function_of

if TYPE_CHECKING:
    from poller.apis.client import AwsSettings
    from poller.apis.sdk import Json, Sdk

PATIENCE: Final = 30.0
"""Seconds for one call."""

DISABLED: Final = frozenset({"Disabled", "Disabling"})
LISTED: Final = Call("ListEventSourceMappings", "this account")

_SERVED: Final = frozenset({
    "UUID", "EventSourceMappingArn", "EventSourceArn", "FunctionArn", "State", "StateTransitionReason", "LastModified",
    "LastProcessingResult", "Tags", "MetricsConfig", "LoggingConfig", "FilterCriteriaError",
})  # fmt: skip
"""What is no setting, or changes nothing here."""

_DEFAULTS: Final[dict[str, object]] = {
    "MaximumBatchingWindowInSeconds": 0, "ParallelizationFactor": 1, "BisectBatchOnFunctionError": False,
    "MaximumRecordAgeInSeconds": -1, "MaximumRetryAttempts": -1, "TumblingWindowInSeconds": 0, "FunctionResponseTypes": [],
    "FilterCriteria": {}, "KMSKeyArn": "", "ScalingConfig": {},
}  # fmt: skip
"""What Lambda answers where nothing was said: not worth a line."""


async def from_account(settings: AwsSettings, *, environment: bool) -> tuple[list[Draft], list[Draft]]:
    """Functions and mappings of the account in one region. With `environment` the variables' values too, secrets among them.

    Raises `ConfigError`, `Unavailable`.
    """
    async with AwsClients() as clients:
        client = await clients.client("lambda", settings)
        listed = await _listed(client)
        mappings = [mapping(each) for each in listed]
        names = {str(draft.fields["function_name"]): each["FunctionArn"] for draft, each in zip(mappings, listed, strict=True)}
        async with asyncio.TaskGroup() as together:
            asked = [together.create_task(_function(client, name, arn, environment)) for name, arn in names.items()]
    return [task.result() for task in asked], mappings


async def _listed(client: Sdk) -> list[Json]:
    found: list[Json] = []
    page: dict[str, str] = {}
    while True:
        answer = await perform(LISTED, client.list_event_source_mappings(**page), lambda answer: answer, PATIENCE)
        found += answer.get("EventSourceMappings", [])
        if not answer.get("NextMarker"):
            return found
        page = {"Marker": answer["NextMarker"]}


async def _function(client: Sdk, name: str, arn: str, environment: bool) -> Draft:  # noqa: FBT001  (asked for by name above)
    draft = Draft(kind="function", name=name, origin=arn)
    try:
        request = client.get_function_configuration(FunctionName=arn)
        found = await perform(Call("GetFunctionConfiguration", arn), request, lambda answer: answer, PATIENCE)
    except SourceGone:
        found = {}
        draft.lost.append("everything (AWS has no such function any more)")
    found = {key: value for key, value in found.items() if not _says_nothing(key, value)}
    variables = (found.get("Environment") or {}).get("Variables") or {}
    if variables and not environment:
        found = {key: value for key, value in found.items() if key != "Environment"}
        draft.lost.append(f"environment, whose values may be secret (--environment): {', '.join(sorted(variables))}")
    carry_function(draft, found)
    draft.ask("code", "the folder of the code")
    return draft


def _says_nothing(key: str, value: Sdk) -> bool:
    """Lambda answers some settings that nobody made."""
    return (key == "VpcConfig" and not value.get("SubnetIds")) or (key == "EphemeralStorage" and value == {"Size": 512})


def mapping(given: Json) -> Draft:
    """A mapping as ListEventSourceMappings describes it."""
    arn = given.get("EventSourceArn")
    draft = Draft(kind="mapping", name="", origin=f"mapping {given['UUID']}")
    function = function_of(draft, given["FunctionArn"])
    source = str(arn).split(":", 5)[-1].partition("/stream/")[0].rpartition("/")[2] if arn else "kafka"
    draft.name = our_name(f"{function}-{source}".replace(".", "-"))
    draft.fields = {"name": draft.name, "event_source_arn": arn, "function_name": function}
    if arn is None:
        draft.off = "its source has no ARN: self-managed Kafka is not supported yet"
    if given.get("State") in DISABLED:
        draft.fields["enabled"] = False
    settings = {key: value for key, value in given.items() if key not in _SERVED and value != _DEFAULTS.get(key)}
    if (start := settings.get("StartingPositionTimestamp")) is not None:
        settings["StartingPositionTimestamp"] = start if isinstance(start, (int, float)) else start.timestamp()
    carry_mapping(draft, settings)
    if given.get("LastProcessingResult") is not None and draft.fields.get("starting_position"):
        draft.hints["starting_position"] = "poller begins here: where Lambda's mapping has come to, nobody can ask"
    return draft

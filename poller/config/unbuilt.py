"""What Lambda says to the values of fields that poller does not have yet: who writes a wrong one learns of both at once.

Ranges are those of botocore's model of CreateEventSourceMapping, for streams and queues.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from poller.config.problem import quote
from poller.config.section import given_key, given_value, pascal_case
from poller.config.tree import folded
from poller.config.wording import fault, guess, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import InitErrorDetails

    from poller.config.wording import Check, Path

    Faults = Iterator[InitErrorDetails]

LONGEST_KEY, LONGEST_TAG = 128, 256
_KMS_KEY = re.compile(r"arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:(?:key|alias)/\S+")


def some_of(allowed: Sequence[str], most: int, elsewhere: str) -> Check:
    """A list; `elsewhere`: what to say of items that are not allowed here."""

    def check(key: str, value: object, path: Path) -> Faults:
        if not isinstance(value, list | tuple):
            yield fault(path, f'"{key}" must be a list')
            return
        if len(value) > most:
            yield fault(path, f'"{key}" must be a list of at most {most}')
        for index, item in enumerate(value):
            if item not in allowed:
                yield fault((*path, index), f'an item of "{key}" must be {one_of(allowed)}{elsewhere}')

    return check


def table(**fields: Check) -> Check:
    """A mapping with these keys, in either spelling."""

    def check(key: str, value: object, path: Path) -> Faults:
        if not isinstance(value, Mapping):
            yield fault(path, f'"{key}" must be a mapping (key: value)')
            return
        for name, inner in value.items():
            known = next((field for field in fields if folded(field) == folded(str(name))), None)
            if known is None:
                spelt = map(pascal_case, fields) if str(name)[:1].isupper() else fields
                yield fault((*path, str(name)), f"unknown key {quote(name)}{guess(name, spelt)}", at="key")
            else:
                yield from fields[known](str(name), inner, (*path, str(name)))

    return check


def _kms_key(key: str, value: object, path: Path) -> Faults:
    if not isinstance(value, str) or (value and not _KMS_KEY.fullmatch(value)):
        yield fault(path, f'"{key}" must be the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID')


def _tags(key: str, value: object, path: Path) -> Faults:
    if not isinstance(value, Mapping):
        yield fault(path, f'"{key}" must be a mapping (key: value)')
        return
    for name, text in value.items():
        if not 1 <= len(str(name)) <= LONGEST_KEY:
            yield fault((*path, str(name)), f'a key of "{key}" must have 1 to {LONGEST_KEY} characters', at="key")
        if not isinstance(text, str) or len(text) > LONGEST_TAG:
            yield fault((*path, str(name)), f'a value of "{key}" must be text of at most {LONGEST_TAG} characters')


OF_ALL: Mapping[str, Check] = {
    "kms_key_arn": _kms_key,
    "metrics_config": table(metrics=some_of(("EventCount",), 3, ": ErrorCount and KafkaMetrics belong to Kafka")),
    "tags": _tags,
}


def tumbling(given: Mapping[str, object]) -> Faults:
    """As Lambda: windows go neither with filters nor with a parallelization factor."""
    window = "tumbling_window_in_seconds"
    if (key := given_key(given, window)) is None or not isinstance(given[key], int) or not given[key]:
        return
    if given_value(given_value(given, "filter_criteria"), "filters"):
        yield fault((key,), f'"{key}" and "{given_key(given, "filter_criteria")}" exclude each other in Lambda', at="key")
    factor = given_value(given, "parallelization_factor")
    if isinstance(factor, int) and factor > 1:
        yield fault((key,), f'"{key}" and "{given_key(given, "parallelization_factor")}" above 1 exclude each other', at="key")


def scaling(given: Mapping[str, object]) -> Faults:
    """As Lambda: a queue scales by itself up to a limit, or between two limits, not both."""
    pollers = given_key(given, "provisioned_poller_config")
    for name in ("scaling_config", "minimum_pollers"):
        if pollers and given[pollers] and (other := given_key(given, name)) and given[other]:
            yield fault((pollers,), f'"{other}" and "{pollers}" exclude each other', at="key", see=(other,))
    config = given_value(given, "provisioned_poller_config")
    least, most = given_value(config, "minimum_pollers"), given_value(config, "maximum_pollers")
    if isinstance(least, int) and isinstance(most, int) and least > most and pollers:
        yield fault(
            (pollers,), f'"{given_key(config, "minimum_pollers")}" must not be above "{given_key(config, "maximum_pollers")}"'
        )

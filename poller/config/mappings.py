"""Event source mappings: which model says what may be written depends on the source."""

from __future__ import annotations

from typing import Annotated

from pydantic import ValidationInfo as Info  # noqa: TC002  (pydantic looks for it in the signature)

from poller.config.arn import names_queue
from poller.config.event_source import default_uuid
from poller.config.queues import QueueMappingConfig
from poller.config.section import Chosen, given_key, given_text
from poller.config.streams import StreamMappingConfig

__all__ = ["MappingConfig", "QueueMappingConfig", "StreamMappingConfig", "default_uuid"]


def _by_source(given: object, info: Info) -> StreamMappingConfig | QueueMappingConfig:
    if isinstance(given, StreamMappingConfig | QueueMappingConfig):
        return given
    return _model(given).model_validate(given, context=info.context)


def _model(given: object) -> type[StreamMappingConfig | QueueMappingConfig]:
    """Of a source that has no value (its variable is not set) nobody can say that it needs a position."""
    arn = given_text(given, "event_source_arn")
    if arn is None:
        unset = given_key(given, "event_source_arn") is not None
        return QueueMappingConfig if unset and given_key(given, "starting_position") is None else StreamMappingConfig
    return QueueMappingConfig if names_queue(arn) else StreamMappingConfig


MappingConfig = Annotated[StreamMappingConfig | QueueMappingConfig, Chosen(_by_source)]
"""An event source mapping; the service in its `event_source_arn` says which kind: a stream, where it says none."""

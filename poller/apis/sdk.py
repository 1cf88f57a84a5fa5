"""The one name for what an SDK hands us: its classes are made as it runs, so that no type can be said."""

from __future__ import annotations

from typing import Any, TypeAlias

Sdk: TypeAlias = Any
"""A client, session, parser, shape or configuration of aiobotocore or botocore."""

Json: TypeAlias = dict[str, Any]
"""A JSON object as a service answered it."""

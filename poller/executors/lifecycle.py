"""When the workers of a function come and go."""

from __future__ import annotations

from dataclasses import dataclass

INIT_SECONDS = 10.0
"""What Lambda gives a function to initialise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """When workers come and go.

    Attributes:
        maximum_concurrency: the most workers at the same time.
        provisioned_concurrency: so many are there always, once the pool is warmed.
        idle_timeout: seconds after which an idle worker beyond those goes; None: never.
        maximum_invocations: after which a worker is replaced; None: never.
        maximum_age: seconds after which a worker is replaced, between two invocations; None: never.
        memory_size: MB that a worker and its children may have.
        init_seconds: what initialisation may take.
    """

    maximum_concurrency: int = 1
    provisioned_concurrency: int = 0
    idle_timeout: float | None = 600.0
    maximum_invocations: int | None = None
    maximum_age: float | None = None
    memory_size: int = 128
    init_seconds: float = INIT_SECONDS

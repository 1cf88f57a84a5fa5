"""The daemon's HTTP listener: metrics and health, read-only."""

from __future__ import annotations

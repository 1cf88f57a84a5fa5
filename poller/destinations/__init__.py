"""Where discarded records are reported, one file a kind."""

from __future__ import annotations

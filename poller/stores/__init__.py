"""Where leases and checkpoints live: one module a kind of store, none imports another."""

from __future__ import annotations

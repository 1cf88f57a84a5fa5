"""What can be read, one file a kind. The top half of each is pure (raw record to `Record`); the rest acts over an Api."""

from __future__ import annotations

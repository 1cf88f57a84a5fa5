"""HTTP to the outside, to URLs that a configuration names: sockets, sessions, and what answers have in common."""

from __future__ import annotations

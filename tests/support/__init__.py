"""What several test folders share: servers, clocks, builders of values."""

from __future__ import annotations

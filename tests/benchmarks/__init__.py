"""What things cost, as ratios taken in one run on one machine. Run by `make bench`; nothing here is a test."""

from __future__ import annotations

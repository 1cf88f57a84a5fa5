"""What runs functions: in the daemon (`inline`), or in worker processes (`process`).

An executor knows nothing of mappings, records or retries: an event goes in, an answer comes out, and whatever the function did
wrong is part of the answer. `worker.py` is a program of its own, run by the function's Python.
"""

from __future__ import annotations

"""The daemon's own code on a seeded virtual clock, in a world that misbehaves by the seed; see `docs/simulation.md`.

`scenario` draws what happens; `play` plays it; `process` is one incarnation of the daemon, `service` its connections, `weather`
what goes wrong on them, `function` what it invokes. `ledger`, `hold` and `documents` watch, and know nothing of how the daemon works.
"""

from __future__ import annotations

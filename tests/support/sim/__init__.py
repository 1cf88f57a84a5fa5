"""The daemon's own code on a seeded virtual clock, in a world that misbehaves by the seed; see `docs/simulation.md`.

`draw` makes a `scenario` of a seed (`hard` adds lanes, windows, tables and reshards), and `play` plays it. A `process` is one
incarnation of the daemon; `stream`, `letters`, `store` and `executor` are its ends, watched; `weather` and `moods` are what goes
wrong there. What is seen goes into the `ledger`; what may be is known to `hold` (the rules of a shard), `track`, `windows` and
`cuts` (those of a lane), `eyes` (those of reading), `dry`, `verdict` (what an answer means), `figures` (metrics) and `closing`
(the end). None of these knows how the daemon works.
"""

from __future__ import annotations

"""Checkpoints, for operators: how far each shard is done, and how to move that, under the eyes of the store.

`spec.py` is a position in words; `desk.py` opens the store and finds the mapping; `editing.py` writes positions, `copies.py`
takes them out as a file and brings them in again. Nothing is written over that is not as the operator last saw it, and who held
a shard is fenced by the same write.
"""

from __future__ import annotations

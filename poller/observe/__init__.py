"""What the outside can see: metrics (`catalogue` has every name), logs, and the lag of the event loop.

Lanes, shards and mappings tell a `mapping.MappingObserver` what happens; it counts and logs. Nothing here decides anything.
"""

from __future__ import annotations

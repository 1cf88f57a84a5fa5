"""`poller status`: how mappings stand, from the store, and from the daemon where one answers.

`asking.py` asks both, `merged.py` makes one document of what they say, `table.py` shows it to people. The store knows every shard
of every replica; ages, lanes and errors only the daemon that is asked knows, and only of its own.
"""

from __future__ import annotations

"""Streams and queues to functions, with the delivery semantics of AWS Lambda's event source mappings.

The life of a record:

1. A mapping's lane *reads* it from a shard or a queue, already in the shape the function will see.
2. The mapping's filter says whether it is *wanted*; what is not is settled at once.
3. The lane's batcher *keeps* it until the batch is full, by count, bytes, window or age.
4. The policy *expires* what has become too old; the rest is an attempt.
5. The function *invokes* the attempt, once it has a permit, through its executor.
6. The answer is *read* into an outcome, and the policy *judges*: each record is settled, discarded, tried again or released.
7. One place *carries out* that decision. Discarded records reach the failure destination before they are settled.
8. A shard's progress turns settled records into a *checkpoint*; a queue deletes them.

`poller/lane.py` is that list as code; `poller/core` decides, everything else acts.
"""

from __future__ import annotations

__version__ = "0.1.0"

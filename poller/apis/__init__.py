"""The services that the poller calls: each Api of `poller.ports` on aiobotocore, and in memory.

Importing this package imports no SDK: `client`, `errors`, `kinesis`, `parser` and `sqs` do, the `memory` modules do not.
"""

from __future__ import annotations

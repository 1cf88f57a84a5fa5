"""What the daemon of the demo finds on disk: `poller.yaml` and the handler. Both run as they are outside of the demo too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from poller.demo.sources import REGION, Source, queue_arn

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RECEIVE_COUNT: Final = 3
VISIBILITY_TIMEOUT: Final = 30
DRAIN_TIMEOUT: Final = 15

HEAD: Final = """\
# Written by `poller demo`. Try `poller validate` on it.

aws:
  region: {region}
  endpoint_url: {services}       # the stand-in for Kinesis and SQS

store:
  url: {store}                      # leases and checkpoints

http:
  listen: 127.0.0.1:{port}                     # /metrics /livez /readyz

drain_timeout: {drain}

functions:
  orders:
    executor: process
    runtime: python
    handler: app.handler
    code: ./functions/orders
    timeout: 10
    maximum_concurrency: 4

event_source_mappings:
"""

STREAM: Final = """\
  - name: {mapping}
    event_source_arn: {arn}
    function_name: orders
    starting_position: TRIM_HORIZON
    maximum_retry_attempts: 2
    bisect_batch_on_function_error: true          # only the record that fails is given up, not its whole batch
    function_response_types: [ReportBatchItemFailures]
    destination_config:
      on_failure: {{destination: "{dead_letters}"}}
"""

QUEUE: Final = """\
  - name: {mapping}
    event_source_arn: {arn}        # its redrive policy gives up after {receives} deliveries
    function_name: orders
    function_response_types: [ReportBatchItemFailures]
    receive_wait: 2                               # short polls: the demo ends sooner
"""

MAPPINGS: Final = {"stream": STREAM, "queue": QUEUE}


def furnish(folder: Path, sources: Sequence[Source], *, services: str, store: str, port: int) -> Path:
    """Writes configuration and handler for these sources; returns the path of the configuration."""
    code = folder / "functions" / "orders"
    code.mkdir(parents=True)
    (code / "app.py").write_bytes(Path(__file__).with_name("handler.py").read_bytes())
    head = HEAD.format(region=REGION, services=services, store=store, port=port, drain=DRAIN_TIMEOUT)
    path = folder / "poller.yaml"
    path.write_text(head + "\n".join(_mapping(each) for each in sources), encoding="utf-8")
    return path


def _mapping(source: Source) -> str:
    return MAPPINGS[source.kind].format(
        mapping=source.mapping,
        arn=source.arn,
        dead_letters=queue_arn(source.dead_letters),
        receives=MAX_RECEIVE_COUNT,
    )

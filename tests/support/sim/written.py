"""A scenario as an operator would write it: the configuration of its processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.config import Config
from support.sim.queue_scenario import GIVEN_UP
from support.sim.scenario import ACCOUNT, QUEUE

if TYPE_CHECKING:
    from support.sim.queue_scenario import QueueMappingPlan
    from support.sim.scenario import MappingPlan, Scenario


def configuration(scenario: Scenario) -> Config:
    """Mappings of streams first."""
    functions = {
        plan.name: {
            "executor": "inline",
            "handler": "app.handler",
            "timeout": plan.timeout,
            "maximum_concurrency": plan.concurrency,
            "reserved_concurrency": plan.reserved,
        }
        for plan in scenario.functions
    }
    return Config.model_validate(
        {
            "store": {"url": "memory://", "lease_duration": scenario.lease},
            "http": {"listen": None},
            "drain_timeout": scenario.drain,
            "concurrency_limit": scenario.concurrency,
            "functions": functions,
            "event_source_mappings": [
                *(_mapping(plan) for plan in scenario.mappings),
                *(_queue_mapping(plan) for plan in scenario.queue_mappings),
            ],
        }
    )


def _mapping(plan: MappingPlan) -> dict[str, object]:
    written: dict[str, object] = {
        "name": plan.name,
        "priority": plan.priority,
        "event_source_arn": plan.stream.arn,
        "function_name": plan.function.name,
        "batch_size": plan.batch_size,
        "maximum_batching_window_in_seconds": plan.window,
        "parallelization_factor": plan.factor,
        "tumbling_window_in_seconds": plan.tumbling,
        "maximum_retry_attempts": plan.retries,
        "maximum_record_age_in_seconds": plan.age,
        "bisect_batch_on_function_error": plan.bisect,
        "function_response_types": ["ReportBatchItemFailures"] if plan.reports else [],
        "starting_position": plan.start,
    }
    if plan.timestamp is not None:
        written["starting_position_timestamp"] = plan.timestamp
    if plan.destination:
        written["destination_config"] = _destination(QUEUE)
    return written


def _queue_mapping(plan: QueueMappingPlan) -> dict[str, object]:
    written: dict[str, object] = {
        "name": plan.name,
        "priority": plan.priority,
        "event_source_arn": plan.queue.arn,
        "function_name": plan.function.name,
        "batch_size": plan.batch_size,
        "maximum_batching_window_in_seconds": plan.window,
        "function_response_types": ["ReportBatchItemFailures"] if plan.reports else [],
        "release": plan.release,
        "receive_wait": plan.receive_wait,
    }
    if plan.most_polls is None:
        written |= {"minimum_pollers": plan.quiet, "scaling_config": {"maximum_concurrency": plan.at_once}}
    else:
        written["provisioned_poller_config"] = {"minimum_pollers": plan.quiet, "maximum_pollers": plan.most_polls}
    if plan.queue.fifo:
        written["fifo_group_guard"] = plan.guard
    if plan.maximum is not None:
        written["maximum_receive_count"] = plan.maximum
    if plan.destination:
        written["destination_config"] = _destination(GIVEN_UP)
    if plan.breaker is not None:
        written["circuit_breaker"] = {
            "failures": plan.breaker.failures,
            "error_rate": plan.breaker.error_rate,
            "batches": plan.breaker.batches,
            "probe_interval": plan.breaker.interval,
        }
    if plan.filtered:
        written["on_filtered"] = plan.on_filtered
        written["filter_criteria"] = {"filters": [{"pattern": {"body": {"kind": ["wanted"]}}}]}
    return written


def _destination(queue: str) -> dict[str, object]:
    return {"on_failure": {"destination": f"arn:aws:sqs:{ACCOUNT}:{queue}"}}

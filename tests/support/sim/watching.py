"""What holds for every invocation, whatever its records come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.sim.journal import Broken
from support.sim.shares import has_room

if TYPE_CHECKING:
    from poller.core.model import Invocation
    from support.sim.books import Call
    from support.sim.ledger import Ledger
    from support.sim.process import Process
    from support.sim.queue_books import QueueCall
    from support.sim.scenario import FunctionPlan


def check_room(ledger: Ledger, call: Call | QueueCall) -> None:
    """No more than allowed in a process and for a function, and nothing of what others reserve."""
    running = [each for each in ledger.running if each.process is call.process]
    if not has_room(ledger.scenario, running, call.function):
        mine = sum(each.function == call.function for each in running)
        raise Broken(f"{call} is one too many: {mine} of {call.function}, {len(running)} in the process")


def check_invocation(process: Process, function: FunctionPlan, invocation: Invocation) -> None:
    """It is named as configured, and has the time that it may have."""
    due = process.clock.time() + function.timeout
    if (invocation.arn, invocation.deadline) != (function.arn, due):
        raise Broken(f"an invocation of {invocation.arn} has the deadline {invocation.deadline}, not {due}")

"""What every store must do: the whole contract of the port `Store`.

Subclass `StoreContract` with a fixture `stores`, and `StoreMachine` (in `store_machine`), and run both with pytest.
"""

from __future__ import annotations

from contract.store_checkpoints import CheckpointContract
from contract.store_enrolment import EnrolmentContract
from contract.store_leases import LeaseContract


class StoreContract(EnrolmentContract, LeaseContract, CheckpointContract):
    """All parts of the contract."""

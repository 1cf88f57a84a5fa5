"""What every store must do: the whole contract of the ports `Store` and `EditableStore`.

Subclass `StoreContract` with a fixture `stores`, and `StoreMachine` (in `store_machine`), and run both with pytest.
"""

from __future__ import annotations

from contract.store_checkpoints import CheckpointContract
from contract.store_edits import EditContract
from contract.store_enrolment import EnrolmentContract
from contract.store_leases import LeaseContract


class StoreContract(EnrolmentContract, LeaseContract, CheckpointContract, EditContract):
    """All parts of the contract."""

"""What all tests share: the servers, as fixtures, and failures of the shared suites told in full."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("contract", "support")

pytest_plugins = ["support.servers"]

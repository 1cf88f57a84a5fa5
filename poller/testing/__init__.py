"""For those who write an executor of their own: the suite that every executor passes, and doubles for the tests beside it.

    executors   `ExecutorContract`, the suite: needs pytest and pytest-asyncio
    handlers    the Python functions that the suite calls, and what each does, for those who bring them in another language
    doubles     a clock to set, and the events of a worker, recorded

What stands here is public: names stay, and a promise that is added to the suite is in the change log. `docs/executors.md` has the
whole story.
"""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):  # the handlers and doubles are of use without it
    import pytest

    pytest.register_assert_rewrite("poller.testing.executors")  # before anybody imports it: a failure tells both sides

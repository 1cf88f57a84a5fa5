"""When the daemon counts as ready, and how it says why not."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from support.observing import HandClock

from poller.admin.health import Health


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def health(clock: HandClock) -> Health:
    return Health(clock)


def test_nothing_is_ready_before_every_check_has_passed(health: Health, clock: HandClock) -> None:
    clock.now += 3
    assert (health.ready, health.started) == (False, False)
    health.passed("config")
    assert (health.ready, health.started) == (False, False)
    assert health.report() == ["[+]config ok", "[-]store not checked yet since 3 s"]
    health.passed("store")
    assert (health.ready, health.started) == (True, True)
    assert health.report() == ["[+]config ok", "[+]store ok"]


def test_a_check_that_fails_says_why_and_since_when_and_its_reason_may_change(health: Health, clock: HandClock) -> None:
    health.passed("config")
    health.passed("store")
    health.failed("store", "not answering")
    clock.now += 5
    health.failed("store", "answering nonsense")
    clock.now += 7
    assert not health.ready
    assert health.started, "it has been once"
    assert health.report() == ["[+]config ok", "[-]store answering nonsense since 12 s"]


def test_a_check_that_passes_again_fails_anew_from_then(health: Health, clock: HandClock) -> None:
    health.passed("config")
    health.failed("store", "not answering")
    clock.now += 60
    health.passed("store")
    assert health.ready
    clock.now += 60
    health.failed("store", "not answering")
    clock.now += 1
    assert health.report()[1] == "[-]store not answering since 1 s"


def test_a_check_named_late_counts_too(health: Health) -> None:
    health.passed("config")
    health.passed("store")
    health.failed("disk", "full")
    assert not health.ready
    assert health.report()[2] == "[-]disk full since 0 s"


def test_while_draining_it_is_not_ready_but_started(health: Health, clock: HandClock) -> None:
    health.passed("config")
    health.passed("store")
    health.drain()
    clock.now += 4
    health.drain()
    assert health.draining
    assert (health.ready, health.started) == (False, True)
    assert health.report() == ["[+]config ok", "[+]store ok", "[-]draining since 4 s"]


def test_a_reason_is_one_line_and_shows_no_password(health: Health) -> None:
    health.failed("store", "not answering: redis://:hunter2@host/0\n[+]forged ok")
    assert health.report()[1] == "[-]store not answering: redis://:***@host/0 [+]forged ok since 0 s"


def test_only_changes_are_logged(health: Health) -> None:
    with capture_logs() as log:
        health.passed("store")
        health.passed("store")
        health.failed("store", "not answering")
        health.failed("store", "not answering")
        health.passed("store")
    assert [(line["event"], line["check"], line["log_level"]) for line in log] == [
        ("check_passed", "store", "info"),
        ("check_failed", "store", "warning"),
        ("check_passed", "store", "info"),
    ]

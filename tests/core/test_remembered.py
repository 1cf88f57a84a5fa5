"""What a leased shard remembers of the tip: true of a checkpoint only once that has passed all that had been read by then."""

from __future__ import annotations

import pytest

from poller.core.extra import Extra, pack, unpack
from poller.core.model import BEGINNING, Checkpoint, Start, position
from poller.core.remembered import Remembered

ONE, TWO, THREE = (position(number) for number in "123")


def tip_of(stored: bytes) -> float | None:
    return unpack(stored).tip


def test_a_tip_survives_in_the_checkpoint() -> None:
    assert unpack(pack(Extra(tip=1_700_000_000.25))) == Extra(tip=1_700_000_000.25)
    left = Checkpoint(position=ONE, extra=pack(Extra(tip=5.0)))
    remembered = Remembered(left)
    assert (remembered.tip, remembered.stored_tip, remembered.settled_tip(ONE)) == (5.0, 5.0, 5.0)
    assert tip_of(remembered.pack(TWO)) == 5.0, "what is behind a later record came later as well"


def test_a_shard_that_was_never_read_to_its_tip_has_none() -> None:
    remembered = Remembered()
    assert (remembered.tip, tip_of(remembered.pack(ONE))) == (None, None)


def test_a_tip_is_no_tip_while_records_before_it_are_open() -> None:
    remembered = Remembered()
    remembered.caught_up(10.0, TWO, settled=ONE)
    assert remembered.tip == 10.0
    assert tip_of(remembered.pack(ONE)) is None
    assert remembered.stored_tip is None
    assert tip_of(remembered.pack(TWO)) == 10.0
    assert remembered.stored_tip == 10.0


def test_a_reader_that_runs_ahead_for_ever_still_leaves_tips_behind() -> None:
    remembered = Remembered()
    places = [position(str(number)) for number in range(1, 100)]
    for number, at in enumerate(places):  # each read is one record further, and two of them are never settled
        remembered.caught_up(float(number), at, settled=places[max(number - 2, 0)])
    tip = tip_of(remembered.pack(places[-3]))
    assert tip is not None
    assert len(places) - 6 <= tip <= len(places) - 3


def test_the_latest_read_of_an_idle_shard_counts() -> None:
    remembered = Remembered()
    for at in (1.0, 2.0, 3.0):
        remembered.caught_up(at, ONE, settled=BEGINNING)
    assert tip_of(remembered.pack(ONE)) == 3.0
    for at in (4.0, 5.0):
        remembered.caught_up(at, ONE, settled=ONE)
    assert remembered.settled_tip(ONE) == 5.0


@pytest.mark.parametrize("tip", [None, 7.0])
def test_where_a_shard_begins_is_kept_beside_the_tip_until_something_is_settled(tip: float | None) -> None:
    start = Start(type="LATEST", timestamp=1.0)
    remembered = Remembered(Checkpoint(extra=pack(Extra(start=start))))
    if tip is not None:
        remembered.caught_up(tip, BEGINNING, settled=BEGINNING)
    assert unpack(remembered.pack(BEGINNING)) == Extra(start=start, tip=tip)
    assert unpack(remembered.pack(THREE)) == Extra(tip=tip)

"""What a checkpoint holds beside its position, there and back; and what a shard remembers of its last holder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.core.extra import NO_EXTRA, Extra, Unreadable, pack, unpack
from poller.core.memo import NO_MEMO, Cut, Memo, Window
from poller.core.model import BEGINNING, Checkpoint, Start, position
from poller.core.remembered import Remembered

STATE = '{"größer": 123456789012345678901234567890, "x": 1.10}'.encode()
WINDOW = Window(start=1_764_020_040.0, end=1_764_020_160.0, state=STATE)
SPLIT = Memo(cuts=(Cut(last=position("7"), retries=2, first=position("5")), Cut(last=position("9"), first=position("8"))))
NAMES = ("start", "type", "timestamp", "lanes", "memos", "0", "1", "cuts", "window", "end", "state", "early", "tip")
LATEST = Start(type="LATEST", timestamp=1_764_020_000.123)

windows = st.builds(
    Window,
    start=st.integers(0, 2**33).map(float),
    end=st.integers(0, 2**33).map(float),
    state=st.dictionaries(st.text(max_size=5), st.integers(-(2**70), 2**70)).map(lambda state: repr(state).encode()),
    early=st.booleans(),
)
places = st.integers(1, 99).map(lambda number: position(str(number)))
cuts = st.lists(st.builds(Cut, last=places, retries=st.integers(0, 9), first=st.just(BEGINNING) | places))
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(NAMES), some, max_size=4),
    max_leaves=12,
)
memos = st.builds(Memo, window=st.none() | windows, cuts=cuts.map(tuple))


@given(st.lists(memos, min_size=1, max_size=4), st.none() | st.just(LATEST))
def test_what_is_stored_is_found_again(told: list[Memo], start: Start | None) -> None:
    found = unpack(pack(Extra(start=start, lanes=len(told), memos=tuple(told))))
    assert found.start == start
    assert found.memos_of(len(told)) == tuple(told)


def test_nothing_to_say_is_stored_as_nothing() -> None:
    assert pack(NO_EXTRA) == pack(Extra(lanes=3, memos=(NO_MEMO,) * 3)) == b""
    assert unpack(b"") == NO_EXTRA
    assert NO_EXTRA.memos_of(2) == (NO_MEMO, NO_MEMO)


def test_a_state_comes_back_byte_for_byte() -> None:
    kept = unpack(pack(Extra(memos=(Memo(window=WINDOW),))))
    assert kept.memos == (Memo(window=WINDOW),)


@pytest.mark.parametrize("lanes", [1, 3])
def test_another_number_of_lanes_remembers_no_cuts(lanes: int) -> None:
    assert unpack(pack(Extra(lanes=2, memos=(SPLIT, NO_MEMO)))).memos_of(lanes) == (NO_MEMO,) * lanes


def test_an_open_window_outlives_a_change_of_the_number_of_lanes() -> None:
    left = unpack(pack(Extra(lanes=1, memos=(replace(SPLIT, window=WINDOW),))))
    assert left.memos_of(3) == (Memo(window=WINDOW), NO_MEMO, NO_MEMO)


def test_what_a_newer_process_has_written_beside_it_is_ignored() -> None:
    said = orjson.loads(pack(Extra(start=LATEST, lanes=1, memos=(SPLIT,)))) | {"trend": [1]}
    assert unpack(orjson.dumps(said)) == Extra(start=LATEST, lanes=1, memos=(SPLIT,))


def test_members_that_a_newer_process_has_written_are_ignored() -> None:
    window = {"start": 60.0, "end": 120.0, "state": "{}", "late": 1}
    said = {"lanes": 1, "memos": {"0": {"cuts": [[position("7"), 2, position("5"), "new"]], "window": window, "new": 1}}}
    memo = Memo(window=Window(start=60.0, end=120.0), cuts=(Cut(last=position("7"), retries=2, first=position("5")),))
    assert unpack(orjson.dumps(said)).memos == (memo,)


def test_a_cut_of_an_earlier_version_has_no_first_record() -> None:
    said = orjson.dumps({"lanes": 1, "memos": {"0": {"cuts": [[position("7"), 2], [position("9"), 0, position("8")]]}}})
    kept = unpack(said)
    assert kept.memos == (Memo(cuts=(Cut(last=position("7"), retries=2), Cut(last=position("9"), first=position("8")))),)
    assert orjson.loads(pack(kept)) == orjson.loads(said)


@pytest.mark.parametrize(
    "stored",
    [
        b"garbage",
        b"\xff\xfe",
        b"null",
        b"7",
        b"[]",
        b'{"lanes": 1',
        b'{"lanes": "a"}',
        b'{"lanes": 0}',
        b'{"lanes": 1000000000, "memos": {"0": {}}}',
        b'{"memos": [1]}',
        b'{"memos": {"0": 1}}',
        b'{"memos": {"0": {"cuts": [[5, 0]]}}}',
        b'{"memos": {"0": {"cuts": [["5", "a"]]}}}',
        b'{"memos": {"0": {"cuts": [["5"]]}}}',
        b'{"memos": {"0": {"cuts": [["5", 0, 4]]}}}',
        b'{"memos": {"0": {"cuts": [["5", 0, null]]}}}',
        b'{"memos": {"0": {"cuts": [5]}}}',
        b'{"memos": {"0": {"window": {"start": 1}}}}',
        b'{"memos": {"0": {"window": {"start": 1, "end": 2, "state": {}}}}}',
        b'{"memos": {"0": {"window": {"start": true, "end": 2, "state": "{}"}}}}',
        b'{"tip": "x"}',
        b'{"start": 5}',
        b'{"start": {"type": "SOMEWHERE", "timestamp": null}}',
        b'{"start": {"type": "AT_TIMESTAMP", "timestamp": null}}',
        b'{"start": {"type": "LATEST", "timestamp": "now"}}',
    ],
)
def test_what_no_process_has_written_is_not_guessed_at(stored: bytes) -> None:
    with pytest.raises(Unreadable):
        unpack(stored)


@given(st.binary(max_size=40) | anything.map(orjson.dumps))
def test_whatever_is_stored_is_read_or_refused(stored: bytes) -> None:
    with suppress(Unreadable):
        assert isinstance(unpack(stored), Extra)


def test_where_a_shard_begins_is_kept_until_something_of_it_is_settled() -> None:
    left = Remembered(Checkpoint(extra=pack(Extra(start=LATEST))))
    left.memos[0] = SPLIT
    assert unpack(left.pack(BEGINNING)) == Extra(start=LATEST, memos=(SPLIT,))
    assert unpack(left.pack(position("5"))) == Extra(memos=(SPLIT,))


def test_a_shard_goes_on_with_what_its_last_holder_left() -> None:
    extra = pack(Extra(lanes=2, memos=(NO_MEMO, SPLIT)))
    left = Remembered(Checkpoint(position=position("5"), extra=extra), lanes=2)
    assert (left.position, left.memos) == (position("5"), [NO_MEMO, SPLIT])
    assert left.pack(position("5")) == extra
    assert Remembered(None, lanes=2).memos == [NO_MEMO, NO_MEMO]

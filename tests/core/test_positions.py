"""Positions: strings whose order is the order of the shard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.core.model import BEGINNING, SEQUENCE_DIGITS, position, sequence_number

sequences = st.integers(0, 10**SEQUENCE_DIGITS - 1)
sub_sequences = st.integers(0, 10**10 - 1)
places = st.tuples(sequences, sub_sequences)


@given(st.lists(places, min_size=2, max_size=2) | places.map(lambda place: [place, (place[0], place[1] // 2)]))
def test_positions_are_ordered_as_their_sequence_numbers_then_their_sub_sequences(two: list[tuple[int, int]]) -> None:
    (one, other) = two
    assert (position(str(one[0]), one[1]) < position(str(other[0]), other[1])) == (one < other)
    assert (position(str(one[0]), one[1]) == position(str(other[0]), other[1])) == (one == other)


@given(sequences, sub_sequences)
def test_a_sequence_number_comes_back_out_of_its_position(number: int, sub_sequence: int) -> None:
    assert sequence_number(position(str(number), sub_sequence)) == str(number)


@given(sequences, sub_sequences)
def test_nothing_is_before_the_beginning(number: int, sub_sequence: int) -> None:
    assert position(str(number), sub_sequence) > BEGINNING


@pytest.mark.parametrize(
    ("sequence", "back"),
    [
        ("49590338271490256608559692538361571095921575989136588898", "49590338271490256608559692538361571095921575989136588898"),
        ("4421584500000000017450439091", "4421584500000000017450439091"),
        ("0", "0"),
        ("000", "000"),
        ("0042", "0042"),
        ("100", "100"),
        ("9" * 60, "9" * 60),
    ],
)
def test_a_sequence_number_fits_and_comes_back_to_the_letter_zeros_in_front_included(sequence: str, back: str) -> None:
    assert sequence_number(position(sequence)) == back


def test_a_longer_number_is_later() -> None:
    assert position("9") < position("10") < position("10", 1) < position("11")
    assert position("009") < position("010") < position("010", 1) < position("011")

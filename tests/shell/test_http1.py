"""Answers are read alike however they are cut, and what could be read in two ways is not read at all."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.apis import http1
from poller.apis.http1 import Answer, AnswerReader, BadAnswer

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\nx-one: 2\r\nDate:  Tue \r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n00002 ;a=b\r\nlo\r\n0\r\n"
EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
ONES = {"content-length": "5", "x-one": "1, 2", "date": "Tue"}

WHOLE = {
    "length": (LENGTH, Answer(200, ONES, b"hello")),
    "after others": (EARLY + LENGTH, Answer(200, ONES, b"hello")),
    "chunks": (CHUNKS + b"\r\n", Answer(200, {"transfer-encoding": "Chunked"}, b"hello")),
    "trailers": (CHUNKS + b"X-Check: 1\r\nY: 2\r\n\r\n", Answer(200, {"transfer-encoding": "Chunked"}, b"hello")),
    "nothing": (b"HTTP/1.1 400 \r\ncontent-length: 0\r\n\r\n", Answer(400, {"content-length": "0"}, b"")),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, {}, b"")),
    "no reason": (b"HTTP/1.1 503\r\ncontent-length: 0\r\n\r\n", Answer(503, {"content-length": "0"}, b"")),
    "no chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Answer(200, {"transfer-encoding": "chunked"}, b""),
    ),
}


def fed(*pieces: bytes) -> AnswerReader:
    """A reader that has taken all pieces; only the last may complete the answer."""
    reader = AnswerReader()
    assert [reader.feed(piece) for piece in pieces[:-1]] == [False] * (len(pieces) - 1)
    reader.feed(pieces[-1])
    return reader


@pytest.mark.parametrize("name", WHOLE)
@given(cuts=st.lists(st.floats(0, 1, exclude_max=True), max_size=6))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(name: str, cuts: list[float]) -> None:
    text, answer = WHOLE[name]
    places = [0, *sorted(int(cut * len(text)) for cut in cuts), len(text)]
    reader = fed(*[text[start:stop] for start, stop in pairwise(places)])
    assert reader.answer == answer
    assert reader.reusable


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_comes_byte_by_byte(name: str) -> None:
    text, answer = WHOLE[name]
    assert fed(*[text[place : place + 1] for place in range(len(text))]).answer == answer


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_may_follow_an_answer_on_a_connection_that_is_used_again(name: str) -> None:
    text, answer = WHOLE[name]
    reader = fed(text + b"HTTP/1.1 200 OK\r\n")
    assert reader.answer == answer
    assert not reader.reusable


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_some_servers_close_after_an_answer(text: bytes) -> None:
    reader = fed(text)
    assert reader.answer is not None
    assert reader.answer.body == b"hello"
    assert not reader.reusable


def test_without_a_length_the_end_of_the_connection_ends_the_answer() -> None:
    reader = AnswerReader()
    assert not reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert not reader.feed(b"lo")
    assert reader.end()
    assert reader.answer == Answer(200, {}, b"hello")
    assert not reader.reusable


@pytest.mark.parametrize("text", [b"", LENGTH[:20], LENGTH[:-1], CHUNKS, CHUNKS[:-6], EARLY])
def test_with_one_it_cuts_the_answer_short(text: bytes) -> None:
    assert not fed(text).end()


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01 HELLO?\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 4\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (http1.MAX_BODY + 1),
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n",
    ],
)
def test_what_is_no_answer_is_refused_at_once(text: bytes) -> None:
    with pytest.raises(BadAnswer):
        fed(text)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nx: ",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ",
    ],
)
def test_no_line_is_waited_for_for_ever(start: bytes) -> None:
    pieces = [b"x" * 1_000] * (http1.MAX_HEAD // 1_000 + 2)
    with pytest.raises(BadAnswer, match="too long"):
        fed(start, *pieces)


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"])
def test_no_body_grows_for_ever(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_BODY", 100_000)
    pieces = [b"3e8\r\n" + b"x" * 1_000 + b"\r\n"] * 102
    with pytest.raises(BadAnswer, match="too large"):
        fed(start, *pieces)


@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", CHUNKS[:46], LENGTH[:-5]]))
def test_noise_is_an_answer_or_refused(noise: bytes, start: bytes) -> None:
    reader = AnswerReader()
    try:
        complete = reader.feed(start + noise)
    except BadAnswer:
        return
    assert complete == (reader.answer is not None)

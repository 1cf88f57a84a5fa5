"""A handler that returns a value of the table below, and the table: every kind of value that a function may return."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import http
import io
import ipaddress
import pathlib
import types
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import simplejson  # type: ignore[import-untyped]  # its types are a package of their own

if TYPE_CHECKING:
    from collections.abc import Iterator


def handler(event: dict[str, Any], context: Any) -> Any:
    return (VALUES | DIFFERENT)[event["name"]]


async def awaits(event: dict[str, Any], context: Any) -> Any:
    return handler(event, context)


class Point(NamedTuple):
    x: int
    y: Any


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 7


class Word(str, enum.Enum):  # noqa: UP042 - as functions do it
    YES = "yes"


class Liar(int):
    def __repr__(self) -> str:
        return "lies"

    __str__ = __repr__


class FloatLiar(float):
    def __repr__(self) -> str:
        return "lies"


class StrLiar(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "lies"


class Listed(list[Any]): ...


class Mapped(dict[Any, Any]): ...


class HasAsDict:
    def __init__(self, result: Any) -> None:
        self.result = result

    def _asdict(self) -> Any:
        return self.result


class AsDictRaises:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def _asdict(self) -> Any:
        raise self.error


class AsDictIsNoMethod:
    _asdict = {"a": 1}  # noqa: RUF012 - what a careless class may have


class ForJson:
    def for_json(self) -> Any:
        return {"a": 1}


@dataclasses.dataclass
class Data:
    a: int = 1


def generated() -> Iterator[int]:
    yield 1


def nested(depth: int, bottom: Any = 1) -> Any:
    value = bottom
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


def endless() -> list[Any]:
    value: list[Any] = [1]
    value.append({"again": value})
    return value


def endless_object() -> HasAsDict:
    value = HasAsDict({})
    value.result["me"] = value
    return value


async def coroutine() -> int:
    return 1


D = decimal.Decimal
VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -17,
    "huge integer": 10**4000,
    "integer beyond the limit of digits": 10**5000,
    "integer subclass": Liar(5),
    "int enum": Level.HIGH,
    "float": 0.1,
    "integral float": 1.0,
    "negative zero": -0.0,
    "large float": 1e300,
    "exponent": 1e16,
    "small float": 5e-324,
    "nan": float("nan"),
    "infinity": float("inf"),
    "negative infinity": float("-inf"),
    "float subclass": FloatLiar(2.5),
    "decimal": D("1.10"),
    "decimal with exponent": D("1E+3"),
    "decimal nan": D("NaN"),
    "decimal negative nan": D("-NaN"),
    "decimal signalling nan": D("sNaN"),
    "decimal infinity": D("Infinity"),
    "decimal negative infinity": D("-Infinity"),
    "decimal negative zero": D("-0.0"),
    "decimals inside": [D("0.1"), {"d": D("2.50")}],
    "text": "Grüße 世界 😀",
    "empty text": "",
    "escapes": '"\\/\b\f\n\r\t\x00\x1f\x7f\x80\u2028\u2029',
    "text subclass": StrLiar("truth"),
    "text subclass as a key": {StrLiar("truth"): 1},
    "text enum": Word.YES,
    "bytes inside": [b"abc", "Grüße".encode()],
    "bytes that are no utf-8 inside": {"b": b"\xff"},
    "bytes key": {b"k": 1},
    "bytes key that is no utf-8": {b"\xff": 1},
    "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"abc"),
    "list": [1, "2", None, [], {}],
    "empty list": [],
    "list subclass": Listed([1]),
    "empty list subclass": Listed(),
    "tuple": (1, (2,)),
    "empty tuple": (),
    "dict": {"a": {"b": [1, 2]}, "c": None},
    "empty dict": {},
    "dict subclass": Mapped(a=Listed()),
    "empty dict subclass": Mapped(),
    "ordered dict": collections.OrderedDict(b=1, a=2),
    "default dict": collections.defaultdict(list, a=[1]),
    "counter": collections.Counter("aab"),
    "keys that are no text": dict.fromkeys([1, 1.5, None, float("nan"), float("inf"), Level.HIGH, Liar(8), FloatLiar(9.5)], 0),
    "boolean keys": {True: 1, False: 0},
    "tuple key": {(1, 2): 3},
    "decimal key": {D(1): 1},
    "enum key": {Colour.RED: 1},
    "date key": {dt.date(2026, 1, 2): 1},
    "named tuple": Point(1, Point(2, [Point(3, None)])),
    "object with _asdict": HasAsDict({"a": 1, 2: HasAsDict({})}),
    "object whose _asdict is an ordered dict": HasAsDict(collections.OrderedDict(z=1, a=2)),
    "object whose _asdict is no dict": HasAsDict([1]),
    "object whose _asdict raises TypeError": AsDictRaises(TypeError("no")),
    "object whose _asdict raises something else": AsDictRaises(RuntimeError("no")),
    "object whose _asdict is no method": AsDictIsNoMethod(),
    "class with _asdict": Point,
    "set": {1},
    "frozenset": frozenset({1}),
    "generator": generated(),
    "generator inside": {"g": generated()},
    "range": range(3),
    "dict view": {"a": 1}.keys(),
    "enum": Colour.RED,
    "dataclass": Data(),
    "object": object(),
    "function": generated,
    "datetime": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "date": dt.date(2026, 1, 2),
    "timedelta": dt.timedelta(1),
    "uuid": uuid.UUID(int=1),
    "address": ipaddress.ip_address("127.0.0.1"),
    "complex": 1j,
    "ellipsis": ...,
    "exception": ValueError("x"),
    "nested 300 deep": nested(300),
    "nested 300 deep with a decimal": nested(300, D(1)),
    "nested 100,000 deep": nested(100_000),
    "nested 100,000 deep with a decimal": nested(100_000, D(1)),
    "containing itself": endless(),
    "containing itself as an object": endless_object(),
    "object with for_json": ForJson(),
    "user dict": collections.UserDict(a=1),
    "deque": collections.deque([1]),
    "mapping proxy": types.MappingProxyType({"a": 1}),
    "path": pathlib.PurePosixPath("/a"),
    "status": http.HTTPStatus.OK,
    "coroutine function": coroutine,
    "stream of bytes": io.BytesIO(b"abc"),
    "bytes with a type of content": (b"abc", "text/plain"),
    "keys that become one": {1: "a", "1": "b", None: "c", "null": "d"},
    "bytes": b'{"a":  1}',
    "no bytes": b"",
    "bytes that are no json": b"\xff\x00",
    "the same twice": [shared := [1], shared, {"again": shared}],
}

DIFFERENT: dict[str, Any] = {
    "raw json of simplejson": simplejson.RawJSON('{"a":  1}'),
}
"""Where executors do not agree."""

"""IP addresses and the ranges of the `cidr` operator."""

from __future__ import annotations

from typing import NamedTuple

from poller.core.patterns_json import InvalidPattern

V4_BITS = 32
V6_BITS = 128
V6_GROUPS = 8

MAPPED = 0xFFFF << V4_BITS
"""`::ffff:a.b.c.d` is the address a.b.c.d."""


class Address(NamedTuple):
    """An address as a number of so many bits."""

    bits: int
    value: int


class Network(NamedTuple):
    """All addresses that share their upper bits with `first`."""

    first: Address
    free: int

    def holds(self, text: str) -> bool:
        """Whether the text is an address, and one of this network."""
        found = address(text)
        return found is not None and found.bits == self.first.bits and (found.value ^ self.first.value) >> self.free == 0


def network(text: str, where: str) -> Network:
    """`address/bits`; bits of the address beyond the mask do not count.

    Raises:
        InvalidPattern: it is no such range. AWS has no range of a single address; the address itself, as a string, says that.
    """
    before, slash, mask = text.partition("/")
    first = address(before)
    if not slash or "/" in mask:
        raise InvalidPattern("Malformed CIDR, one '/' required", where)
    if first is None:
        raise InvalidPattern(f"Nonstandard IP address: {before}", where)
    if not (_digits(mask) and len(mask) <= len(str(V6_BITS))):
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer", where)
    if int(mask) >= first.bits:
        raise InvalidPattern(f"IPv{4 if first.bits == V4_BITS else 6} mask bits must be < {first.bits}", where)
    return Network(first, first.bits - int(mask))


def address(text: str) -> Address | None:
    """The address that a text spells, or None. Octets are decimal, also with leading zeros; a zone (`%eth0`) is no address."""
    if ":" not in text:
        octets = _octets(text)
        return None if octets is None else Address(V4_BITS, octets)
    value = _groups(text)
    if value is None:
        return None
    return Address(V4_BITS, value ^ MAPPED) if value >> V4_BITS == MAPPED >> V4_BITS else Address(V6_BITS, value)


def _octets(text: str) -> int | None:
    """Four decimal numbers of 8 bits."""
    parts = text.split(".")
    if len(parts) != V4_BITS // 8 or not all(_digits(part) and len(part) <= len("255") for part in parts):
        return None
    octets = [int(part) for part in parts]
    return int.from_bytes(octets) if max(octets) < 1 << 8 else None


def _groups(text: str) -> int | None:
    """Eight groups of up to four hexadecimal digits; `::` stands for as many zeros as are missing, once."""
    head, gap, tail = text.partition("::")
    left, right = _hex(head), _hex(tail)
    if left is None or right is None:
        return None
    missing = V6_GROUPS - len(left) - len(right)
    if missing < 1 if gap else missing != 0:
        return None
    value = 0
    for group in (*left, *[0] * missing, *right):
        value = value << 16 | group
    return value


def _hex(text: str) -> list[int] | None:
    """The groups between single colons; the last may be an IPv4 address, which makes two."""
    groups: list[int] = []
    parts = text.split(":") if text else []
    for index, part in enumerate(parts):
        octets = _octets(part) if index == len(parts) - 1 and "." in part else None
        if octets is not None:
            groups += (octets >> 16, octets & 0xFFFF)
        elif part and len(part) <= len("ffff") and all(digit in "0123456789abcdefABCDEF" for digit in part):
            groups.append(int(part, 16))
        else:
            return None
    return groups


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()

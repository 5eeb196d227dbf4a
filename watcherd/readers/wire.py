"""The protobuf wire format, as far as TensorFlow's checkpoints use it.

https://protobuf.dev/programming-guides/encoding: a message is a row of (tag, value); a tag is the
field's number and one of four wire types. Every error is ``Malformed``.
"""

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: struct.Struct("<Q"), FIXED32: struct.Struct("<I")}
_VARINT_BYTES = 10
"""A varint holds 64 bits in pieces of 7."""


class Malformed(Exception):
    """Bytes that are not what the format says."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned integer at an offset, and the offset after it."""
    value = shift = 0
    for byte in data[at : at + _VARINT_BYTES]:
        if byte < 0x80:
            return value | byte << shift, at + shift // 7 + 1
        value |= (byte & 0x7F) << shift
        shift += 7
    raise Malformed("a number that does not end")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field of a message: its number, and an integer or the bytes of what is nested."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = _value(data, at, tag & 7)
        yield tag >> 3, value


def nested(data: bytes, number: int) -> Iterator[bytes]:
    """The content of every field with this number: a message's or a string's."""
    for found, value in fields(data):
        if found == number:
            if not isinstance(value, bytes):
                raise Malformed("a number where a message belongs")
            yield value


def integer(data: bytes, number: int) -> int:
    """The last value of a numeric field; 0 where it is absent, as proto3 has it."""
    last = 0
    for found, value in fields(data):
        if found == number:
            if not isinstance(value, int):
                raise Malformed("a message where a number belongs")
            last = value
    return last


def _value(data: bytes, at: int, kind: int) -> tuple[int | bytes, int]:
    if kind == VARINT:
        return varint(data, at)
    if kind == BYTES:
        length, at = varint(data, at)
        return _slice(data, at, length), at + length
    if kind in _FIXED:
        packed = _FIXED[kind]
        (value,) = packed.unpack(_slice(data, at, packed.size))
        return value, at + packed.size
    raise Malformed(f"wire type {kind}, which protobuf gave up")


def _slice(data: bytes, at: int, length: int) -> bytes:
    if length > len(data) - at:
        raise Malformed("a field that ends behind its message")
    return data[at : at + length]

"""The table format of LevelDB, in which TensorFlow writes a checkpoint's index.

https://github.com/google/leveldb/blob/main/doc/table_format.md: data blocks of sorted keys, each
sharing a prefix with the one before it; an index block that names the data blocks; a footer that
names the index block and ends in a magic number. Every error is ``Malformed``.
"""

from collections.abc import Iterator
from typing import Protocol

import cramjam

from watcherd.readers import crc32c
from watcherd.readers.wire import Malformed, varint

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
FOOTER = 48
"""Bytes: two block handles of at most 20 each, padded, and the magic number."""

BLOCK_LIMIT = 64 << 20
"""Bytes of a block once unpacked; TensorFlow's own blocks hold 256 KB."""
KEYS_GROWTH = 64
"""How many times their file all keys may take; sharing prefixes, real ones take about 1."""

_TRAILER = 5
"""One byte for the compression, four for the checksum."""
_PLAIN, _SNAPPY = 0, 1


def is_whole(data: bytes) -> bool:
    """Whether it ends as a table does; the footer is what a writer writes last."""
    return len(data) >= FOOTER and data.endswith(MAGIC)


class Sliced(Protocol):
    """A table's content: its bytes, or what reads slices of them from a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: slice, /) -> bytes: ...


Place = tuple[int, int]
"""A block's offset and size, without its trailer."""


def entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every (key, value) of a table that ``is_whole``, in the order of its keys."""
    left, last = KEYS_GROWTH * len(data), None
    for _, place in blocks(data):
        for key, value in entries_at(data, place):
            left -= len(key)
            if (last is not None and key <= last) or left < 0:
                raise Malformed("its keys are not in order, or have no end")
            last = key
            yield key, value


def blocks(data: Sliced) -> Iterator[tuple[bytes, Place]]:
    """Each data block of a table that ``is_whole``, with a key that none in it is behind."""
    footer = data[len(data) - FOOTER : len(data)]
    _, at = _handle(footer, 0)
    place, _ = _handle(footer, at)
    for key, pointer in _pairs(_block(data, place)):
        yield key, _handle(pointer, 0)[0]


def entries_at(data: Sliced, place: Place) -> Iterator[tuple[bytes, bytes]]:
    """Every (key, value) of one data block."""
    return _pairs(_block(data, place))


def _handle(data: bytes, at: int) -> tuple[Place, int]:
    """A block's (offset, size), and the offset after it."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: Sliced, place: Place) -> bytes:
    """A block's content, its checksum verified as TensorFlow does."""
    offset, size = place
    if offset + size + _TRAILER > len(data):
        raise Malformed("it names a block behind its end")
    sealed = data[offset : offset + size + _TRAILER]
    if crc32c.masked(sealed[: size + 1]) != int.from_bytes(sealed[size + 1 :], "little"):
        raise Malformed(f"the checksum of its block at byte {offset} does not fit")
    return _unpacked(sealed[:size], sealed[size])


def _unpacked(block: bytes, compression: int) -> bytes:
    if compression == _PLAIN:
        return block
    if compression != _SNAPPY:
        raise Malformed(f"compression {compression}, which TensorFlow does not use")
    if varint(block, 0)[0] > BLOCK_LIMIT:
        raise Malformed("a block too large for any checkpoint")
    try:
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise Malformed("a block that Snappy cannot unpack") from error


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """A block's (key, value)s, up to the array of restart points and its length."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise Malformed("a block shorter than its own table of contents")
    at, key = 0, b""
    while at < end:
        shared, fresh, length = block[at : at + 3]
        if shared | fresh | length < 0x80:  # one byte each, as nearly always
            at += 3
        else:
            shared, at = varint(block, at)
            fresh, at = varint(block, at)
            length, at = varint(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise Malformed("an entry that ends behind its block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh + length
        yield key, block[at - length : at]

"""The fingerprint of content: equal files have equal ones, wherever they lie."""

import hashlib
from collections.abc import Sequence

from watcherd.readers.source import Source

BLOCK = 4096
BLOCKS = 16
SMALL = BLOCK * BLOCKS
"""HDF5 files up to this size (64 KiB) are hashed whole."""
INDEX_LIMIT = 256 << 20
"""So are indices up to this one: they hold every tensor's checksum. A million variables take 100
MB."""


def fingerprint(source: Source, whole_up_to: int = SMALL) -> str:
    """BLAKE2b of a file's content, 16 bytes in hexadecimal.

    Above ``whole_up_to`` bytes, of its size (8 bytes, little endian) and of sixteen blocks spread
    evenly over it, the first and the last among them: training changes the weights everywhere.
    """
    if source.size <= whole_up_to:
        return _hash(source.read(0, source.size))
    last = source.size - BLOCK
    places = (last * block // (BLOCKS - 1) for block in range(BLOCKS))
    return _hash(source.size.to_bytes(8, "little"), *(source.read(at, BLOCK) for at in places))


def joined(marks: Sequence[str]) -> str:
    """The fingerprint of several files in their order; of one its own."""
    return marks[0] if len(marks) == 1 else _hash(*(mark.encode() for mark in marks))


def _hash(*pieces: bytes) -> str:
    return hashlib.blake2b(b"".join(pieces), digest_size=16).hexdigest()

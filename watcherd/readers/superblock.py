"""The first bytes of an HDF5 file: whether its writer finished, and what else it may be.

HDF5 File Format Specification 3.0, section II.A: the signature lies at byte 0, or at 512, 1024,
2048 and so on behind a user block; the superblock that it begins names the end of the file. What a
killed writer leaves is longer or shorter (measured with h5py 3.14: an unflushed file names 2,048
bytes as its end, whatever its length).
"""

import codecs
from typing import NamedTuple

from watcherd.readers.source import GIT_LFS, POINTER, Incomplete, Source, Unreadable

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LONGEST = 96
"""Bytes of the longest superblock."""
_USER_BLOCK = 512

_FOREIGN = (
    (GIT_LFS, POINTER),
    (b"PK\x03\x04", "a zip archive, not HDF5: perhaps a .keras file under another name"),
    (b"\x1f\x8b", "compressed with gzip, not HDF5; unpack it first"),
    (b"\x93NUMPY", "a NumPy array, not HDF5"),
    (b"CDF", "a classic netCDF file, not HDF5"),
    (b"BZh", "compressed with bzip2, not HDF5; unpack it first"),
    (b"\xfd7zXZ\0", "compressed with xz, not HDF5; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd, not HDF5; unpack it first"),
    (b"<!DOCTYPE", "a web page, not HDF5: the download went wrong"),
    (b"<html", "a web page, not HDF5: the download went wrong"),
)
"""What people have been seen to save or download under the name of a model."""
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


class Superblock(NamedTuple):
    """What tells whether the writer finished."""

    end_of_file: int
    """Bytes the file had when its superblock was last written."""
    open_for_writing: bool
    """Versions 2 and 3 only: set while a writer has the file open."""


def require_finished(source: Source) -> None:
    """Raise Incomplete for a save that never finished, Unreadable for what is not HDF5."""
    offset = _signature_offset(source)
    if offset is None:
        raise _without_signature(source)
    block = parse(source.read(offset, _LONGEST))
    if block.end_of_file != source.size:
        raise Incomplete(_mismatch(source.size, block.end_of_file))
    if block.open_for_writing:
        raise Incomplete(
            "it is marked as open for writing: its writer is still at it, or was killed"
        )


def parse(head: bytes) -> Superblock:
    """The superblock that these bytes begin with; Incomplete where they break off too early."""
    version = head[8] if len(head) > 8 else 0
    if version in (0, 1):
        width, base = head[13:14], 24 + 4 * version
    elif version in (2, 3):
        width, base = head[9:10], 12
    else:
        raise Unreadable(f"damaged: an HDF5 superblock of version {version}, which does not exist")
    size = width[0] if width else 8
    if size not in (2, 4, 8):
        raise Unreadable(f"damaged: an HDF5 superblock with addresses of {size} bytes")
    end = head[base + 2 * size : base + 3 * size]
    if len(end) < size:
        raise _only_begun(len(head))
    is_open = version >= 2 and bool(head[11] & 1)
    return Superblock(int.from_bytes(end, "little"), is_open)


def _signature_offset(source: Source) -> int | None:
    offset = 0
    while offset < source.size:
        if source.read(offset, len(SIGNATURE)) == SIGNATURE:
            return offset
        offset = max(_USER_BLOCK, 2 * offset)
    return None


def _mismatch(size: int, end: int) -> str:
    if size < end:
        lost = "truncated, or the disk was full"
    else:
        lost = "the writer was killed before it wrote the rest"
    return (
        f"it has {size:,} bytes, but its header counts on {end:,}: the save never finished ({lost})"
    )


def _without_signature(source: Source) -> Incomplete | Unreadable:
    """What a file without the signature is: the beginning of a save, or something else."""
    head = source.read(0, 512)
    if not head:
        return Incomplete("it is empty: HDF5 empties a file before it writes the new model")
    if SIGNATURE.startswith(head[: len(SIGNATURE)]):
        return _only_begun(len(head))
    if not any(head):
        return Incomplete("it begins with zeros: its header never reached the disk")
    return Unreadable(f"it is {_kind(head)}")


def _kind(head: bytes) -> str:
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            return kind
    if head.startswith(_PICKLES):
        return "a pickle, not HDF5: loading it would run code, and Keras cannot"
    if _is_text(head):
        return f"text, not HDF5 (it begins with {head[:24].decode(errors='replace')!r})"
    return f"neither HDF5 nor anything known (it begins with {head[:8].hex(' ')})"


def _is_text(head: bytes) -> bool:
    """UTF-8 without control characters; the last character may be cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head)


def _only_begun(size: int) -> Incomplete:
    return Incomplete(f"its header breaks off after {size} bytes: the save has only begun")

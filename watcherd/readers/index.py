"""The index of a TensorFlow V2 checkpoint: which variables there are, and where their bytes lie.

A table (table.py) of protobufs, ``tensorflow/core/protobuf/tensor_bundle.proto``: under the empty
key a BundleHeaderProto, under each variable's name a BundleEntryProto. Errors are ``Malformed``.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from watcherd.readers import table
from watcherd.readers.tally import INT64
from watcherd.readers.wire import BYTES, VARINT, Malformed, integer, nested, varint

SHARDS_LIMIT = 99_999
"""File names have five digits for them."""
VARIABLES_LIMIT = 1_000_000

STRING = 7
DTYPES = {
    1: ("float32", "f", 4),
    2: ("float64", "d", 8),
    3: ("int32", "i", 4),
    4: ("uint8", "B", 1),
    5: ("int16", "h", 2),
    6: ("int8", "b", 1),
    STRING: ("string", "", 0),
    8: ("complex64", "", 8),
    9: ("int64", "q", 8),
    10: ("bool", "?", 1),
    14: ("bfloat16", "", 2),
    17: ("uint16", "H", 2),
    18: ("complex128", "", 16),
    19: ("float16", "e", 2),
    22: ("uint32", "I", 4),
    23: ("uint64", "Q", 8),
}
"""DataType of ``framework/types.proto`` -> name, format of the struct module, bytes an element.
Others, such as resources, count as variables but have no size that we know."""


class Variable(NamedTuple):
    """One variable of a checkpoint."""

    name: str
    dtype: int
    """A number of DTYPES."""
    elements: int
    shard: int
    offset: int
    size: int
    """Where its bytes lie in the shard, and how many; 0 for one that is stored in slices."""
    checksum: int
    """Masked CRC-32C of those bytes."""


@dataclass(frozen=True, slots=True)
class Index:
    """What an index tells."""

    shards: int
    byteorder: str
    """``<`` or ``>``, as in the struct module."""
    variables: Mapping[str, Variable]
    """By name, in the order of the index."""
    extents: Mapping[int, int]
    """Shard -> bytes that it must have at least."""


def parse(data: bytes) -> Index:
    """The index whose file has this content; ``table.is_whole`` must hold."""
    rows = table.entries(data)
    try:
        shards, byteorder = _header(rows)
        variables, extents = _variables(rows, shards)
    except IndexError as error:
        raise Malformed("an entry that breaks off") from error
    return Index(shards, byteorder, variables, extents)


def _header(rows: Iterator[tuple[bytes, bytes]]) -> tuple[int, str]:
    key, value = next(rows, (None, b""))
    if key != b"":
        raise Malformed("no header: it is a table, but not a checkpoint's index")
    shards = integer(value, 1)
    if not 0 < shards <= SHARDS_LIMIT:
        raise Malformed("a header that names no sensible number of shards")
    return shards, ">" if integer(value, 2) else "<"


def _variables(
    rows: Iterator[tuple[bytes, bytes]], shards: int
) -> tuple[dict[str, Variable], dict[int, int]]:
    """Every variable, and how far each shard must reach."""
    variables: dict[str, Variable] = {}
    extents = dict.fromkeys(range(shards), 0)
    for key, value in rows:
        variable = _variable(key, value)
        if variable.shard >= shards or len(variables) >= VARIABLES_LIMIT:
            raise Malformed("more shards than its header says, or variables without end")
        end = variable.offset + variable.size
        extents[variable.shard] = max(extents[variable.shard], end)
        if not key.startswith(b"\0"):  # a slice of another variable (EncodeTensorNameSlice)
            variables[variable.name] = variable
    return variables, extents


def _variable(key: bytes, value: bytes) -> Variable:
    """A BundleEntryProto. One loop without calls: an index has hundreds of these."""
    dtype = shard = offset = size = checksum = at = 0
    shape, sliced = b"", False
    while at < len(value):
        tag, number, at = value[at], value[at + 1], at + 2
        if tag == 0x35:
            checksum = int.from_bytes(value[at - 1 : at + 3], "little")
            at += 3
            continue
        if number > 0x7F:
            number, at = varint(value, at - 1)
        if tag == 0x08:
            dtype = number
        elif tag == 0x12:
            shape, at = value[at : at + number], at + number
        elif tag == 0x18:
            shard = number
        elif tag == 0x20:
            offset = number
        elif tag == 0x28:
            size = number
        elif tag & 7 == BYTES:
            sliced, at = sliced or tag == 0x3A, at + number
        elif tag & 7 != VARINT:
            raise Malformed(f"an entry with an unknown field (tag {tag})")
    if at != len(value):
        raise Malformed("an entry that breaks off")
    elements = _elements(shape)
    _require_sense(dtype, elements, offset, size, sliced=sliced)
    name = key.decode("utf-8", "replace")
    return Variable(name, dtype, elements, shard, offset, size, checksum)


def _require_sense(dtype: int, elements: int, offset: int, size: int, *, sliced: bool) -> None:
    """A variable's bytes are its elements', and lie where a file can be."""
    if offset + size > INT64:
        raise Malformed("a variable that lies where no file reaches")
    width = DTYPES.get(dtype, ("", "", 0))[2]
    if width and not sliced and size != elements * width:
        raise Malformed("a variable whose shape and size contradict each other")


@lru_cache(maxsize=4096)
def _elements(shape: bytes) -> int:
    """How many a TensorShapeProto has: the product of its dimensions."""
    elements = math.prod(integer(dimension, 1) for dimension in nested(shape, 2))
    if elements > INT64:
        raise Malformed("a variable with more elements than can be")
    return elements

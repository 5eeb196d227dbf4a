"""TensorFlow V1 checkpoints: one table of tensor slices, or several.

``tensor_slice_writer.cc`` and ``saved_tensor_slice.proto``: under the empty key a
SavedTensorSlices with the names, shapes and types of all variables of the table, under others the
slices' data. The trainer renames each table into place when it is whole.
"""

import math
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

from watcherd.artifact import Artifact, Part, Role
from watcherd.plan import Format, Outcome, Reading
from watcherd.readers import table, variables
from watcherd.readers.index import DTYPES, VARIABLES_LIMIT, Index, Variable
from watcherd.readers.source import Incomplete, Source, Unreadable, opened
from watcherd.readers.table import Place
from watcherd.readers.tally import INT64
from watcherd.readers.wire import Malformed, integer, nested, varint

BLOCK_LIMIT = 4 << 20
"""Bytes of a block that is read. TensorFlow begins a new one after 256 KB, so only a large variable
makes a block longer, and nothing is lost but what stands beside it."""
_NUMBERED = re.compile(r"-(?P<shard>[0-9]{5})-of-(?P<shards>[0-9]{5})\Z")
_FLOATS = {"f": 5, "d": 6}
_INTEGERS = {"i": 7, "q": 10}
"""Formats as DTYPES has them -> the packed field of a TensorProto (``tensor.proto``)."""


def read(root: str, artifact: Artifact, source: Source) -> Reading:
    """What the tables of a checkpoint tell; ``source`` is the first of them.

    Raises Incomplete and Unreadable for a fault of a table's content; Changed and OSError as
    ``source.opened`` does.
    """
    parts = [part for part in artifact.parts if part.role is Role.SHARD_V1]
    found: dict[str, Variable] = {}
    held: dict[str, bytes] = {}
    for part in parts:
        first = part == artifact.head
        with nullcontext(source) if first else opened(root, part) as shard:
            contents, counters = _read_shard(shard, _name(part.path))
            found.update(contents)
            held.update(counters)
            shard.check()
    fault = lacking(parts)
    return Reading(
        Outcome.INCOMPLETE if fault else Outcome.COMPLETE,
        Format.CHECKPOINT_V1,
        reason=fault,
        description=variables.describe(_index(found), {} if fault else held),
    )


def lacking(parts: Iterable[Part]) -> str | None:
    """Which shards are missing, in words for a person; None if none is."""
    numbers = [found for part in parts if (found := _NUMBERED.search(part.path))]
    counts = {int(number["shards"]) for number in numbers}
    if len(counts) > 1:
        return "shards of different saves lie beside one another: their names disagree on how many"
    there = {int(number["shard"]) for number in numbers}
    missing = [shard for count in counts for shard in range(count) if shard not in there]
    if not missing:
        return None
    return (
        f"{len(missing)} of {counts.pop()} shards missing, the first of them number {missing[0]};"
        " the variables in them are lost until they are back"
    )


class _Content:
    """A table's bytes, read from its file a slice at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.size

    def __getitem__(self, place: slice) -> bytes:
        count = place.stop - place.start
        if count > 2 * BLOCK_LIMIT:
            raise Malformed("a table of contents without end")
        return self._source.read(place.start, count)


def _read_shard(source: Source, name: str) -> tuple[dict[str, Variable], dict[str, bytes]]:
    """A shard's variables, and the bytes of those that count training steps."""
    _require_end(source, name)
    content = _Content(source)
    try:
        blocks = list(table.blocks(content))
        found = {variable.name: variable for variable in _variables(content, blocks)}
        wanted = variables.telling(_index(found))
        data = ((each.name, _data(content, blocks, each)) for each in wanted)
        return found, {key: value for key, value in data if value is not None}
    except (Malformed, IndexError) as error:
        raise Unreadable(f"{name} is damaged: {error}") from error


def _require_end(source: Source, name: str) -> None:
    """Raise Incomplete unless it ends as a table does, Unreadable if it never was one."""
    if table.is_whole(source.read(max(0, source.size - table.FOOTER), table.FOOTER)):
        return
    head = source.read(0, 24)
    if not head:
        raise Incomplete(f"{name} is empty: the save was broken off")
    if head.startswith(b"\0\0"):  # an entry with the empty key
        raise Incomplete(
            f"{name} does not end as a checkpoint does ({source.size:,} bytes): it was truncated,"
            " or its last bytes never reached the disk"
        )
    raise Unreadable(
        f"{name} is no checkpoint, although a .meta file lies beside it: it begins with"
        f" {ascii(head)[1:]}"
    )


def _index(found: dict[str, Variable]) -> Index:
    """As if an index named these variables; TensorFlow writes tables on little-endian machines."""
    return Index(1, "<", found, {})


def _variables(content: _Content, blocks: Sequence[tuple[bytes, Place]]) -> Iterator[Variable]:
    """What stands under the first key; nothing where its block is too long to be read."""
    if not blocks or blocks[0][1][1] > BLOCK_LIMIT:
        return
    key, value = next(table.entries_at(content, blocks[0][1]), (None, b""))
    if key != b"":
        raise Malformed("no list of variables: it is a table, but not a checkpoint")
    for number, meta in enumerate(nested(next(nested(value, 1), b""), 1)):
        if number >= VARIABLES_LIMIT:
            raise Malformed("variables without end")
        yield _variable(meta)


def _variable(meta: bytes) -> Variable:
    """A SavedSliceMeta; its shape is that of the whole variable, of which slices may be here."""
    name = next(nested(meta, 1), b"").decode("utf-8", "replace")
    dimensions = nested(next(nested(meta, 2), b""), 2)
    elements = math.prod(integer(dimension, 1) for dimension in dimensions)
    if elements > INT64:
        raise Malformed("a variable with more elements than can be")
    dtype = integer(meta, 3)
    width = DTYPES.get(dtype, ("", "", 0))[2]
    return Variable(name, dtype, elements, 0, 0, elements * width, 0)


def _data(
    content: _Content, blocks: Sequence[tuple[bytes, Place]], variable: Variable
) -> bytes | None:
    """A single number's bytes as an index's shard would have them; None where it is not found."""
    wanted = b"\0" + variable.name.encode() + b"\0\1"  # EncodeTensorNameSlice
    place = next((place for last, place in blocks if last >= wanted), None)
    if place is None or place[1] > BLOCK_LIMIT:
        return None
    for key, value in table.entries_at(content, place):
        if key.startswith(wanted):
            return _number(next(nested(next(nested(value, 2), b""), 3), b""), variable.dtype)
    return None


def _number(tensor: bytes, dtype: int) -> bytes | None:
    """The one number of a TensorProto; None where it holds none of this type."""
    form = DTYPES.get(dtype, ("", "", 0))[1]
    if form in _FLOATS:
        packed = next(nested(tensor, _FLOATS[form]), b"")
        return packed if len(packed) == struct.calcsize(form) else None
    packed = next(nested(tensor, _INTEGERS.get(form, 0)), b"")
    return struct.pack("<" + form, varint(packed, 0)[0] & INT64) if packed else None


def _name(path: str) -> str:
    return path.rpartition("/")[2]

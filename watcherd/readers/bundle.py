"""TensorFlow V2 checkpoints: whether all of one is there.

Complete means: the index ends as a table does, every shard that it names exists and is long enough,
and TensorFlow has removed the folder in which it wrote them.
"""

from collections.abc import Mapping

from watcherd.artifact import Artifact, Part, Role
from watcherd.plan import Format, Outcome, Reading
from watcherd.readers import crc32c, index, table, variables
from watcherd.readers.fingerprint import INDEX_LIMIT
from watcherd.readers.index import STRING, Index, Variable
from watcherd.readers.source import GIT_LFS, POINTER, Incomplete, Source, Unreadable, opened
from watcherd.readers.wire import Malformed

_NAMED = 3
"""How many missing shards a reason names."""


def read(root: str, artifact: Artifact, source: Source) -> Reading:
    """What a checkpoint's index (``source``) and a few scalars in its shards tell.

    Raises Incomplete and Unreadable for a fault of the index or of a shard's content; Changed and
    OSError as ``source.opened`` does.
    """
    contents = _index(source, f"{_name(artifact.path)}.index")
    fault = lacking(artifact, contents)
    held = {} if fault else _held(root, artifact, contents)
    return Reading(
        Outcome.INCOMPLETE if fault else Outcome.COMPLETE,
        Format.CHECKPOINT,
        reason=fault,
        description=variables.describe(contents, held),
    )


def lacking(artifact: Artifact, contents: Index) -> str | None:
    """What the checkpoint lacks to be complete, in words for a person; None if nothing."""
    for part in artifact.parts:
        if part.role is Role.TEMPORARY:
            return (
                f"{_name(part.path)} is still there, which TensorFlow removes at the end of a save:"
                " this one is under way, or was broken off"
            )
    sizes = {part.path: part.fact.size for part in artifact.parts if part.role is Role.SHARD}
    paths = [_shard_path(artifact, contents, shard) for shard in range(contents.shards)]
    return _missing(paths, sizes) or _short(paths, sizes, contents)


def _missing(paths: list[str], sizes: Mapping[str, int]) -> str | None:
    gone = [shard for shard, path in enumerate(paths) if path not in sizes]
    if not gone:
        return None
    if len(gone) == 1:
        which = f"shard {gone[0] + 1} of {len(paths)} is missing"
    else:
        which = f"{len(gone)} of {len(paths)} shards are missing"
    names = ", ".join(_name(paths[shard]) for shard in gone[:_NAMED])
    more = ", ..." if len(gone) > _NAMED else ""
    return f"{which}: {names}{more}; the variables in it are lost until it is back"


def _short(paths: list[str], sizes: Mapping[str, int], contents: Index) -> str | None:
    for shard, path in enumerate(paths):
        needed = contents.extents[shard]
        if sizes[path] < needed:
            return (
                f"shard {shard + 1} of {len(paths)} is too short: {_name(path)} has"
                f" {sizes[path]:,} of the {needed:,} bytes that the index counts on; it was"
                " truncated, or belongs to another save"
            )
    return None


def _index(source: Source, name: str) -> Index:
    if source.size > INDEX_LIMIT:
        raise Unreadable(f"{name} has {source.size:,} bytes, more than any checkpoint's index")
    data = source.read(0, source.size)
    if not data:
        raise Incomplete(f"{name} is empty: the save was broken off before it was written")
    if data.startswith(GIT_LFS):
        raise Unreadable(f"{name} is {POINTER}")
    if not table.is_whole(data):
        raise Incomplete(
            f"{name} does not end as an index does ({len(data):,} bytes): its last bytes never"
            " reached the disk, it was truncated, or it is something else"
        )
    try:
        return index.parse(data)
    except Malformed as error:
        raise Unreadable(f"{name} is damaged: {error}") from error


def _held(root: str, artifact: Artifact, contents: Index) -> dict[str, bytes]:
    """The bytes of the few variables that describe the others, by name."""
    wanted = variables.telling(contents)
    parts = {part.path: part for part in artifact.parts}
    held: dict[str, bytes] = {}
    for shard in sorted({variable.shard for variable in wanted}):
        part = parts[_shard_path(artifact, contents, shard)]
        with opened(root, part) as source:
            mine = (variable for variable in wanted if variable.shard == shard)
            held.update((variable.name, _bytes(source, part, variable)) for variable in mine)
            source.check()
    return held


def _bytes(source: Source, part: Part, variable: Variable) -> bytes:
    """A variable's bytes, verified: data of a new save may lie beside the index of an old one.

    Not so a string's, whose checksum is over another form of it.
    """
    data = source.read(variable.offset, variable.size)
    if variable.dtype != STRING and crc32c.masked(data) != variable.checksum:
        source.check()
        raise Unreadable(
            f"{_name(part.path)} does not fit the index: the checksum of {variable.name} differs;"
            " an overwrite was broken off, or the file is damaged"
        )
    return data


def _shard_path(artifact: Artifact, contents: Index, shard: int) -> str:
    return f"{artifact.path}.data-{shard:05d}-of-{contents.shards:05d}"


def _name(path: str) -> str:
    return path.rpartition("/")[2]

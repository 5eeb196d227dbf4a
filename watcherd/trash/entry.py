"""What is moved to the trash, as plain values: the artifact's parts, in which order, and where to.

Pure: nothing here touches the disk.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from watcherd.artifact import Part, Role
from watcherd.errors import TrashError
from watcherd.naming import ASSET_FOLDERS, VARIABLES
from watcherd.scope import is_within, lineage, parent_of

OURS = ".watcherd"
"""The folder of our own files below the root: never a source of anything that is moved."""
TRASH = f"{OURS}/trash"
MANIFEST = "manifest.json"
DRAFT = "manifest.json.new"
"""The manifest while it is being written."""
_DEPTH = TRASH.count("/") + 2
"""Of the first name in an entry's folder."""

_RANK = {
    Role.H5: 0,
    Role.KERAS: 0,
    Role.SAVED_MODEL: 0,
    Role.INDEX: 1,
    Role.SHARD_V1: 1,
    Role.GRAPH: 2,
    Role.KERAS_METADATA: 2,
    Role.FINGERPRINT: 2,
    Role.ASSET: 3,
    Role.SHARD: 3,
}
"""The order of leaving. A SavedModel's graphs are first: nobody opens it without them. The files
of a V1 checkpoint precede its graph: by that alone their names are known for what they are."""
_ASIDE = 4
"""What only accompanies a model leaves after and returns before all of its own."""
CONTENT = (Role.INDEX, Role.SHARD, Role.SHARD_V1)
"""The parts that hold a model's numbers: with another save's the rest would be a false model."""


class Held(StrEnum):
    """How much of an entry lies in the trash."""

    WHOLE = "whole"
    PARTLY = "partly"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Entry:
    """One artifact and its place in the trash.

    Raises TrashError where a path leads anywhere else than from the models to the trash, so that
    a damaged registry or manifest cannot make us move another file.
    """

    path: str
    """The artifact's path below the root."""
    trash_path: str
    """The folder that receives its parts, below the root; see ``trash_path_for``."""
    parts: tuple[Part, ...]
    """Files only, with the facts that were decided upon."""

    def __post_init__(self) -> None:
        fault = _fault_of(self)
        if fault:
            raise TrashError(
                f"{self.path}: {fault}",
                hint="Nothing was touched. `watcherd reconcile` reads its files anew.",
            )

    @property
    def leaving(self) -> tuple[Part, ...]:
        """The head (HDF5 file, index, a SavedModel's graph) first: without it there is no model."""
        return tuple(sorted(self.parts, key=lambda part: (_rank(part), part.path)))

    @property
    def returning(self) -> tuple[Part, ...]:
        """The head last."""
        return self.leaving[::-1]

    @property
    def folders(self) -> frozenset[str]:
        """The folders that the parts come from."""
        return frozenset(parent_of(part.path) for part in self.parts)

    @property
    def trash_folders(self) -> tuple[str, ...]:
        """The folders that receive them, the uppermost first: of a SavedModel the same tree, so
        that no two names collide."""
        ends = {parent_of(self.place_of(part)) for part in self.parts}
        found = {folder for end in ends for folder in lineage(end)}
        return tuple(sorted((f for f in found if is_within(f, self.trash_path)), key=len))

    @property
    def own_folders(self) -> tuple[str, ...]:
        """The folders that a SavedModel is made of, the deepest first; of another artifact none.

        TensorFlow makes a folder for assets where there are none, too.
        """
        if not any(is_within(folder, self.path) for folder in self.folders):
            return ()
        inner = {f"{self.path}/{name}" for name in (VARIABLES, *ASSET_FOLDERS)}
        return tuple(sorted({*inner, self.path}, key=len, reverse=True))

    def place_of(self, part: Part) -> str:
        """Where a part lies in the trash, below the root."""
        return f"{self.trash_path}/{self._inner(part)}"

    def is_head(self, part: Part) -> bool:
        """Whether the part makes the artifact what it is: it leaves first and returns last."""
        return _rank(part) == min(map(_rank, self.parts))

    def _inner(self, part: Part) -> str:
        """The path below the folder that the artifact lies in."""
        return part.path.removeprefix(f"{parent_of(self.path)}/")


def trash_path_for(model_id: int, now: datetime) -> str:
    """``.watcherd/trash/<yyyymmddThhmmssmmm>-<model_id>`` in UTC; ``now`` must know its zone."""
    at = now.astimezone(UTC)
    return f"{TRASH}/{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}-{model_id}"


def name_of(part: Part) -> str:
    """The file's base name: the same in its folder and in the trash."""
    return part.path.rpartition("/")[2]


def _rank(part: Part) -> int:
    return _RANK.get(part.role, _ASIDE)


def _fault_of(entry: Entry) -> str:
    """What is wrong with an entry, in words; empty where nothing is."""
    paths = {part.path for part in entry.parts}
    if parent_of(entry.trash_path) != TRASH or not _is_plain(entry.trash_path):
        return f"{entry.trash_path!r} is no place in the trash"
    if not entry.parts:
        return "it has no files to move"
    if len(paths) < len(entry.parts):
        return "one of its files is named twice"
    return next((fault for part in entry.parts if (fault := _fault_of_part(entry, part))), "")


def _fault_of_part(entry: Entry, part: Part) -> str:
    if not _is_plain(part.path) or is_within(part.path, OURS):
        return f"{part.path!r} is no path of a model's file"
    if not (parent_of(part.path) == parent_of(entry.path) or is_within(part.path, entry.path)):
        return f"{part.path!r} is no file of it"
    if entry.place_of(part).split("/")[_DEPTH] in (MANIFEST, DRAFT):
        return f"{part.path!r} has the name of the manifest in the trash: rename it"
    if part.role is Role.TEMPORARY:
        return f"{part.path!r} shows that it is still being saved"
    return ""


def _is_plain(path: str) -> bool:
    """Whether a path stays below the root: O_NOFOLLOW does not stop ``..``."""
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))

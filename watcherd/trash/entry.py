"""What is moved to the trash, as plain values: the artifact's parts, in which order, and where to.

Pure: nothing here touches the disk.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from watcherd.artifact import Part, Role
from watcherd.errors import TrashError
from watcherd.scope import is_within, parent_of

OURS = ".watcherd"
"""The folder of our own files below the root: never a source of anything that is moved."""
TRASH = f"{OURS}/trash"
MANIFEST = "manifest.json"
DRAFT = "manifest.json.new"
"""The manifest while it is being written."""

_RANK = {Role.H5: 0, Role.INDEX: 0, Role.GRAPH: 1, Role.SHARD: 2}
"""The order of leaving. What only accompanies a model (3) leaves after and returns before it."""


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
        """The head (HDF5 file or index) first: without it a checkpoint is none."""
        return tuple(sorted(self.parts, key=lambda part: (_RANK.get(part.role, 3), part.path)))

    @property
    def returning(self) -> tuple[Part, ...]:
        """The head last."""
        return self.leaving[::-1]

    @property
    def folders(self) -> frozenset[str]:
        """The folders that the parts come from."""
        return frozenset(parent_of(part.path) for part in self.parts)


def trash_path_for(model_id: int, now: datetime) -> str:
    """``.watcherd/trash/<yyyymmddThhmmssmmm>-<model_id>`` in UTC; ``now`` must know its zone."""
    at = now.astimezone(UTC)
    return f"{TRASH}/{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}-{model_id}"


def name_of(part: Part) -> str:
    """The file's base name: the same in its folder and in the trash."""
    return part.path.rpartition("/")[2]


def is_head(part: Part) -> bool:
    """Whether the part makes the artifact what it is: it leaves first and returns last."""
    return _RANK.get(part.role) == 0


def _fault_of(entry: Entry) -> str:
    """What is wrong with an entry, in words; empty where nothing is."""
    names = [name_of(part) for part in entry.parts]
    if parent_of(entry.trash_path) != TRASH or not _is_plain(entry.trash_path):
        return f"{entry.trash_path!r} is no place in the trash"
    if not names:
        return "it has no files to move"
    if len({*names, MANIFEST, DRAFT}) < len(names) + 2:
        return f"two of its files have one name, or one is called {MANIFEST}"
    return next((fault for part in entry.parts if (fault := _fault_of_part(part))), "")


def _fault_of_part(part: Part) -> str:
    if not _is_plain(part.path) or is_within(part.path, OURS):
        return f"{part.path!r} is no path of a model's file"
    if part.role is Role.TEMPORARY:
        return f"{part.path!r} shows that it is still being saved"
    return ""


def _is_plain(path: str) -> bool:
    """Whether a path stays below the root: O_NOFOLLOW does not stop ``..``."""
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))

"""What was found out about one path, as plain values. Paths are below the models root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from watcherd.artifact import Artifact, Part, Snapshot
from watcherd.explain.fate import Fate
from watcherd.naming import Naming
from watcherd.plan import ON_DISK, Settling, Work
from watcherd.scope import lineage, parent_of
from watcherd.survey import Survey

Row = Mapping[str, Any]


class Found(StrEnum):
    """What lstat(2) finds at a path."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    OTHER = "other"
    """A pipe, a socket, a device."""
    ABSENT = "absent"
    HIDDEN = "hidden"
    """Nobody can say: a folder on the way cannot be read."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is at a path, or what stops us on the way to it."""

    found: Found
    place: str
    """The path, or the folder above it that is absent, a symlink, or not readable."""
    why: str = ""
    """Of what is hidden, the reason; of a symlink, what it says."""


@dataclass(frozen=True, slots=True)
class Disk:
    """What the disk says."""

    sight: Sight
    snapshot: Snapshot | None = None
    """Of the folders around the path; None where they could not be looked at."""
    latest: str | None = None
    """The checkpoint that the path names, if it is a state file."""
    survey: Survey | None = None
    """Of a folder and all below it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry says."""

    model: Row | None = None
    """The row that is meant, with its marks and its place in the trash."""
    history: Sequence[Row] = ()
    """Of that model, oldest first."""
    fate: Fate | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """State -> models in a folder and all below it."""

    @property
    def place(self) -> str | None:
        """Where the model is, if it is on disk."""
        if self.model is None or self.model["state"] not in ON_DISK:
            return None
        return str(self.model["path"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was found out about one path."""

    path: str | None
    """None where it lies outside the root."""
    naming: Naming
    disk: Disk
    known: Known | None = None
    """None where there is no registry that knows the root."""
    work: Work = field(default_factory=Work)
    """What differs between the two, in the folders that were looked at."""

    @property
    def sight(self) -> Sight:
        return self.disk.sight

    @property
    def snapshot(self) -> Snapshot | None:
        return self.disk.snapshot

    @property
    def model(self) -> Row | None:
        return self.known.model if self.known else None

    @property
    def is_suspended(self) -> bool:
        """Whether the root is not there to be looked at."""
        return self.path is not None and self.snapshot is None

    @property
    def name(self) -> str:
        """The last component of the path."""
        return (self.path or "").rpartition("/")[2]

    @property
    def is_there(self) -> bool:
        """Whether something is at the path, as far as anyone can say."""
        return self.sight.found is not Found.ABSENT

    @property
    def has_row(self) -> bool:
        """Whether the registry says of its model that it is on disk."""
        return self.known is not None and self.known.place is not None

    @property
    def artifact(self) -> Artifact | None:
        """The artifact that the path is, or is a part of; else the one of its row."""
        if self.snapshot is None:
            return None
        found = self.snapshot.artifacts
        if self.path is not None and self.path in found:
            return found[self.path]
        holding = (one for one in found.values() if self.part_in(one))
        known = self.known.place if self.known else None
        return next(holding, found.get(known) if known is not None else None)

    @property
    def artifact_around(self) -> Artifact | None:
        """The artifact that the path is a folder of, such as a SavedModel's ``variables``."""
        if self.snapshot is None or not self.path:
            return None
        around = self.snapshot.artifacts.get(parent_of(self.path))
        inside = (part.path.startswith(f"{self.path}/") for part in around.parts) if around else ()
        return around if any(inside) else None

    def part_in(self, artifact: Artifact) -> Part | None:
        """The part of an artifact that the path is, where it is not the artifact's own."""
        if self.path == artifact.path:
            return None
        return next((part for part in artifact.parts if part.path == self.path), None)

    @property
    def blind_spot(self) -> tuple[str, str] | None:
        """The folder at the path or above it that cannot be looked at, and why."""
        if self.sight.found is Found.HIDDEN:
            return self.sight.place, self.sight.why
        blind = self.snapshot.blind if self.snapshot else {}
        places = lineage(self.path) if self.path is not None else ()
        return next(((place, blind[place]) for place in places if place in blind), None)

    def settling_at(self, path: str) -> Settling | None:
        """What settles at a path."""
        return next((one for one in self.work.settling if one.path == path), None)

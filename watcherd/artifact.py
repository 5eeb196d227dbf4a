"""What is on disk, as plain values: facts, parts, artifacts and the snapshot of a scope.

Pure: nothing here touches the disk. Paths are below the models root, POSIX, without a leading
slash; the root itself is ``""``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from watcherd.listing import signed, storable
from watcherd.scope import Scope, lineage, parent_of

if TYPE_CHECKING:
    import os


class FileFact(NamedTuple):
    """What lstat(2) says of one file. Any difference means: look again."""

    size: int
    """Bytes."""
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def fact_from(found: "os.stat_result") -> FileFact:
    """The facts of what lstat(2) returned."""
    return FileFact(
        found.st_size,
        storable(found.st_mtime_ns),
        storable(found.st_ctime_ns),
        signed(found.st_ino),
        signed(found.st_dev),
    )


class Role(StrEnum):
    """What a file is to its artifact."""

    H5 = "h5"
    """The one file of an HDF5 artifact."""
    INDEX = "index"
    """``P.index``: the LevelDB table that names a checkpoint's variables and shards."""
    SHARD = "shard"
    """``P.data-0000i-of-0000N``."""
    GRAPH = "graph"
    """``P.meta``: the graph that ``tf.compat.v1.train.Saver`` writes last; never required."""
    KERAS = "keras"
    """The one file under the name ``.keras``: a zip archive, or HDF5 under that name."""
    SHARD_V1 = "shard_v1"
    """``P`` or ``P-0000i-of-0000N`` of the V1 format: a table of the variables' slices."""
    SAVED_MODEL = "saved_model"
    """``saved_model.pb``, ``.pbtxt`` or ``.cpb``: the graphs of a SavedModel."""
    KERAS_METADATA = "keras_metadata"
    """``keras_metadata.pb``: what Keras 2.4 to 2.15 writes of a SavedModel's layers."""
    FINGERPRINT = "fingerprint"
    """``fingerprint.pb``: TensorFlow's own hashes, which it writes last since 2.11."""
    ASSET = "asset"
    """A file in ``assets/`` or ``assets.extra/`` of a SavedModel."""
    TEMPORARY = "temporary"
    """``P_temp`` or ``P_temp_<hex>``: a folder that TensorFlow removes when the save is whole."""
    NOTE = "note"
    """``<artifact>.watcherd.json`` beside it: what its trainer says of it."""
    COMPANION = "companion"
    """A file in the same folder that the note names: a scaler, a vocabulary."""


class Form(StrEnum):
    """What the names of its files say an artifact is; its content may say more (see Format)."""

    HDF5 = "hdf5"
    KERAS = "keras"
    CHECKPOINT = "checkpoint"
    """All files of one prefix; of the V1 format where its head is a ``SHARD_V1``."""
    SAVED_MODEL = "saved_model"


HEADS = (Role.H5, Role.KERAS, Role.INDEX, Role.SHARD_V1, Role.SAVED_MODEL)
"""What makes an artifact what it is. Of a SavedModel its graphs, which come before the index of
its variables in the order of paths; of a V1 checkpoint the first shard."""


ASIDE = frozenset({Role.NOTE, Role.COMPANION})
"""What moves, goes and returns with a model and is none of its own files."""


class Part(NamedTuple):
    """One file (or the temporary folder) of an artifact."""

    role: Role
    path: str
    fact: FileFact


@dataclass(frozen=True, slots=True)
class Artifact:
    """One saved thing on disk: an HDF5 or ``.keras`` file, all files of one checkpoint prefix, or
    the folder of a SavedModel."""

    path: str
    """The file's path; for a checkpoint its prefix; for a SavedModel its folder."""
    form: Form
    parts: tuple[Part, ...]
    """Ordered by path; never empty."""

    @property
    def folder(self) -> str:
        """The folder whose listing yields it: a SavedModel is its own."""
        return self.path if self.form is Form.SAVED_MODEL else parent_of(self.path)

    @property
    def files(self) -> tuple[Part, ...]:
        """The parts that hold the model: no temporary folder, and nothing that accompanies it."""
        return files_of(self.parts)

    @property
    def head(self) -> Part | None:
        """The file whose content is the artifact's identity: of a checkpoint the index."""
        return head_of(self.parts)

    @property
    def size_bytes(self) -> int:
        return sum(part.fact.size for part in self.files)

    @property
    def modified_ns(self) -> int:
        """The newest mtime of its files, in nanoseconds since the epoch."""
        return max(part.fact.mtime_ns for part in self.files or self.parts)


def head_of(parts: Iterable[Part]) -> Part | None:
    """The first part of HEADS; None where a checkpoint or a SavedModel lacks it."""
    return next((part for part in parts if part.role in HEADS), None)


def files_of(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts that hold a model: notes, companions and leftovers come and go beside it."""
    return tuple(p for p in parts if p.role is not Role.TEMPORARY and p.role not in ASIDE)


def without_companions(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts that the names of a folder tell by themselves."""
    return tuple(part for part in parts if part.role is not Role.COMPANION)


def accompanied(
    artifact: Artifact, names: Sequence[str], beside: Mapping[str, FileFact]
) -> Artifact:
    """The artifact with the companions that its note names, as far as they are ``beside`` it."""
    if not names:
        return artifact
    folder = parent_of(artifact.path)
    paths = (f"{folder}/{name}".lstrip("/") for name in names)
    found = [Part(Role.COMPANION, path, beside[path]) for path in paths if path in beside]
    parts = sorted([*artifact.parts, *found], key=lambda part: part.path)
    return replace(artifact, parts=tuple(parts))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a scan of a scope saw, and what it could not see."""

    scope: Scope
    at: int
    """When it was begun, in ns since the epoch: what changed since lies in its future."""
    folders: Mapping[str, int]
    """Every folder listed -> its mtime in nanoseconds. A name not in a listed folder is proven
    absent, and has been so since that mtime at the latest."""
    artifacts: Mapping[str, Artifact]
    """Of the folders that are not in ``unchanged``."""
    seconds: float = 0.0
    """How long it took."""
    unchanged: frozenset[str] = frozenset()
    """Folders whose listing is what it was when their rows were last made equal to it."""
    fingerprints: Mapping[str, bytes] = field(default_factory=dict)
    """Of the listings of the others."""
    absent: Mapping[str, int] = field(default_factory=dict)
    """Folders of the scope that are not there -> the mtime of the nearest folder above that is."""
    blind: Mapping[str, str] = field(default_factory=dict)
    """Folder -> why it could not be looked at. Nothing can be said about what is under it."""
    unfollowed: Mapping[str, str] = field(default_factory=dict)
    """Symlinks, ignored files and folders -> why they are not looked at, on purpose."""
    links: frozenset[str] = frozenset()
    """Symlinks in the folders that were listed."""
    ignored: frozenset[str] = frozenset()
    """Files that are there and that the settings tell us to leave alone."""
    resume: frozenset[str] = frozenset()
    """Prefixes that a state file of their folder names as ``model_checkpoint_path``."""
    beside: Mapping[str, FileFact] = field(default_factory=dict)
    """Files that belong to no artifact, in folders with a note: it may name them companions."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """What looks like an artifact and is none -> why (a pipe, a name that is not UTF-8)."""

    def hides(self, path: str) -> bool:
        """Whether nothing can be said about this file.

        It lies under a folder that was not looked at, or is ignored. A symlink in its own place
        hides nothing: the listing says that the file is gone.
        """
        return path in self.ignored or any(
            above in self.blind or above in self.unfollowed for above in lineage(parent_of(path))
        )

    def absent_since(self, folder: str) -> int | None:
        """Since when (ns, at the latest) a name absent from this folder has been absent.

        The mtime of the folder, or of the nearest one above that is there; None where nothing at
        or above it was looked at.
        """
        for place in lineage(folder):
            since = self.folders.get(place, self.absent.get(place))
            if since is not None:
                return since
        return None

"""What the cycle passes from hand to hand: records, readings, work, plan, report. Plain values.

``Snapshot`` and ``Records`` go into ``drift.compare``; the ``Work`` it returns names what must be
read; the ``Readings`` go into ``drift.conclude``; its ``Plan`` can be printed, counted and applied.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from watcherd.artifact import Artifact, Part, head_of, without_companions
from watcherd.scope import parent_of

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""The empty mapping that may be shared: nobody can write into it."""


class State(StrEnum):
    """Of a model's row. The first three are on disk."""

    PRESENT = "present"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    TRASHED = "trashed"
    DELETED = "deleted"


ON_DISK = frozenset({State.PRESENT, State.INCOMPLETE, State.UNREADABLE})


class Verb(StrEnum):
    """What happened to a model: the history's word for a change."""

    REGISTERED = "registered"
    UPDATED = "updated"
    MOVED = "moved"
    MISSING = "missing"
    RETURNED = "returned"
    INCOMPLETE = "incomplete"
    COMPLETED = "completed"
    UNREADABLE = "unreadable"
    PRUNED = "pruned"
    DELETED = "deleted"
    """Moved to the trash by a person."""
    RESTORED = "restored"
    PURGED = "purged"
    """Removed from the trash for good."""
    PINNED = "pinned"
    UNPINNED = "unpinned"
    TAGGED = "tagged"
    UNTAGGED = "untagged"
    ALIASED = "aliased"
    UNALIASED = "unaliased"
    ENSEMBLED = "ensembled"
    """It has a copy in an ensemble now."""
    UNENSEMBLED = "unensembled"
    NOTED = "noted"
    RECORDED = "recorded"
    VERIFIED = "verified"
    """TensorFlow opened it."""
    UNVERIFIED = "unverified"
    """TensorFlow could not open it, or could not be asked."""
    ADOPTED = "adopted"
    """Of the root: a person said that this folder is it."""
    COMPACTED = "compacted"
    """Of a model: this line stands for all before it. Of none: what was dropped."""
    REFRESHED = "refreshed"
    """Facts changed, content did not: written, but no event in a model's life."""


TO_TRASH = frozenset({Verb.PRUNED, Verb.DELETED})
"""What moves a model to the trash: a rule, a person."""

MARKS = frozenset(
    {
        Verb.PINNED,
        Verb.UNPINNED,
        Verb.TAGGED,
        Verb.UNTAGGED,
        Verb.ALIASED,
        Verb.UNALIASED,
        Verb.NOTED,
        Verb.RECORDED,
        Verb.ENSEMBLED,
        Verb.UNENSEMBLED,
        Verb.VERIFIED,
        Verb.UNVERIFIED,
    }
)
"""What is said of a model, or concluded from rows alone: no changes of a plan."""


class Format(StrEnum):
    """What an artifact's content says it is."""

    H5 = "h5"
    """A whole Keras model in HDF5."""
    WEIGHTS_H5 = "weights_h5"
    HDF5 = "hdf5"
    """HDF5, but not a Keras model."""
    CHECKPOINT = "checkpoint"
    CHECKPOINT_V1 = "checkpoint_v1"
    """As TensorFlow wrote them before 0.12, and with ``SaverDef.V1`` ever since."""
    KERAS = "keras"
    """A whole Keras model in a zip archive."""
    SAVED_MODEL = "saved_model"


class Outcome(StrEnum):
    """How reading an artifact ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"
    DENIED = "denied"
    """Not permitted to look: a blind spot, the row is left alone."""
    CHANGED = "changed"
    """It changed or vanished while it was read: look again."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer's settings; equal ones share one row."""

    optimizer_type: str
    learning_rate: float | None
    """None where a schedule stands in its place."""
    config: str
    """Canonical JSON, floats normalised to float32."""


@dataclass(frozen=True, slots=True)
class Description:
    """What an artifact tells about its model. Every field may be unknown."""

    keras_version: str | None = None
    backend: str | None = None
    class_name: str | None = None
    depth: int | None = None
    """Number of layers, as stored in the config."""
    input_shape: str | None = None
    """JSON: a list, or a list of lists for several inputs."""
    output_shape: str | None = None
    parameters: int | None = None
    """Elements of the model's weights, without the optimizer's."""
    variables: int | None = None
    dtype: str | None = None
    loss: str | None = None
    metrics: str | None = None
    """JSON list."""
    custom_objects: str | None = None
    """JSON list of the class names that Keras doesn't know."""
    step: int | None = None
    """Training steps by the file's own count."""
    optimizer: Optimizer | None = None
    architecture: str | None = None
    """Canonical JSON of ``model_config``."""
    likeness: str | None = None
    """Hash of it without the names that Keras gave by itself: of one architecture, whatever its
    layers are numbered."""


@dataclass(frozen=True, slots=True)
class Note:
    """What the note beside an artifact says; what of it makes no sense is left out."""

    results: Mapping[str, float] = field(default_factory=dict)
    """Metric -> value, finite."""
    tags: Mapping[str, str | None] = field(default_factory=dict)
    text: str | None = None
    companions: tuple[str, ...] = ()
    """Names of files in the artifact's folder, whether they are there or not."""
    fault: str | None = None
    """What of it makes no sense, in words for a person."""
    is_readable: bool = True
    """False where nothing can be told: what it said last stands."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one artifact gave."""

    outcome: Outcome
    format: Format | None = None
    reason: str | None = None
    """Why it is incomplete or unreadable, in words for a person."""
    fingerprint: str | None = None
    """Hash of the content (docs/formats.md, "Fingerprint"); None where there is no head file."""
    description: Description = field(default_factory=Description)
    note: Note | None = None
    """None where there is none beside it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A model's row, as far as the cycle needs it."""

    model_id: int
    revision: int
    """Counts the row's changes; a decision upon an older revision is dropped."""
    path: str
    state: State
    fingerprint: str | None
    parts: tuple[Part, ...]
    """As last seen, ordered by path."""
    resume: bool = False
    """A state file names it as ``model_checkpoint_path``."""
    companions: tuple[str, ...] = ()
    """The names that its note gave last, whether the files are there or not."""

    @property
    def head(self) -> Part | None:
        return head_of(self.parts)

    @property
    def folder(self) -> str:
        """The folder whose listing yields it: a SavedModel is its own."""
        inside = f"{self.path}/"
        is_folder = any(part.path.startswith(inside) for part in self.parts)
        return self.path if is_folder else parent_of(self.path)


@dataclass(frozen=True, slots=True)
class Settling:
    """An artifact, or the absence of one, that changed too recently to judge."""

    path: str
    folder: str
    """The folder whose listing tells."""
    parts: tuple[Part, ...]
    """As seen; empty where it is absent."""
    since: int
    """When it was first seen so, in ns since the epoch."""
    due: int
    """When to look again, in ns since the epoch."""

    @property
    def needs_two_looks(self) -> bool:
        """Whether time alone may not settle it: it is absent, or dated in the future."""
        return not self.parts or any(
            max(part.fact.mtime_ns, part.fact.ctime_ns) > self.since for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What differs between a snapshot and the records of its scope."""

    new: tuple[Artifact, ...] = ()
    changed: tuple[tuple[Artifact, Record], ...] = ()
    """Facts differ: to be read again."""
    refreshed: tuple[tuple[Artifact, Record], ...] = ()
    """Same content without a doubt; device number or ``resume`` differ."""
    gone: tuple[Record, ...] = ()
    """Proven absent, and settled."""
    settling: tuple[Settling, ...] = ()
    leaving: Mapping[str, Settling] = field(default_factory=dict)
    """Fingerprint of what is absent, but not for long enough to be gone -> that it settles."""

    @property
    def unread(self) -> tuple[Artifact, ...]:
        """What must be read before anything can be concluded."""
        return (*self.new, *(artifact for artifact, _ in self.changed))

    def split(self, most: int) -> "tuple[Work, Work | None]":
        """So many of what must be read, and what is left for later; None where nothing is."""
        if len(self.new) + len(self.changed) <= most:
            return self, None
        new, changed = self.new[:most], self.changed[: max(most - len(self.new), 0)]
        left = replace(self, new=self.new[most:], changed=self.changed[len(changed) :])
        return Work(new=new, changed=changed, gone=self.gone, leaving=self.leaving), left

    def without(self, found: Iterable[Record | None]) -> "Work":
        """The same, but for rows that were gone and are found."""
        ids = {record.model_id for record in found if record}
        return replace(self, gone=tuple(one for one in self.gone if one.model_id not in ids))


@dataclass(frozen=True, slots=True)
class Change:
    """One model's change: what happened, what was seen, and which row it is based upon."""

    verb: Verb
    path: str
    """Where the model is now; for a missing one, where it was."""
    record: Record | None
    """The row to change; None makes a new one."""
    artifact: Artifact | None
    """What was seen at ``path``; None where it is gone."""
    reading: Reading | None
    """None where nothing was read again."""
    resume: bool = False

    @property
    def from_path(self) -> str | None:
        """Where a moved model was."""
        if self.record is None or self.record.path == self.path:
            return None
        return self.record.path

    @property
    def reason(self) -> str | None:
        return self.reading.reason if self.reading else None

    @property
    def is_aside(self) -> bool:
        """Whether only companions differ: no event tells of them, the next look at them does."""
        if self.verb is not Verb.REFRESHED or self.reading or not (self.artifact and self.record):
            return False
        seen, known = self.artifact.parts, self.record.parts
        return seen != known and without_companions(seen) == without_companions(known)

    @property
    def state(self) -> State:
        """The row's state once the change is applied."""
        if self.reading is not None:
            return _STATE_READ[self.reading.outcome]
        if self.artifact is not None and self.record is not None:
            return self.record.state
        return State.TRASHED if self.verb in TO_TRASH else State.MISSING


_STATE_READ = {
    Outcome.COMPLETE: State.PRESENT,
    Outcome.INCOMPLETE: State.INCOMPLETE,
    Outcome.UNREADABLE: State.UNREADABLE,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Every change that makes the registry equal to what was seen."""

    changes: tuple[Change, ...] = ()
    settling: tuple[Settling, ...] = ()
    blind: Mapping[str, str] = field(default_factory=dict)
    """Path -> why nothing can be said about it."""
    again: tuple[str, ...] = ()
    """Paths that changed while they were read."""

    @property
    def events(self) -> tuple[Change, ...]:
        """The changes that are events in a model's life."""
        return tuple(change for change in self.changes if change.verb is not Verb.REFRESHED)


class Bond(StrEnum):
    """What became of the bond between a model and a copy of it in an ensemble."""

    JOINED = "joined"
    LEFT = "left"
    OUTDATED = "outdated"
    """They are of one content no longer."""


class Ensembling(NamedTuple):
    """What is different between a model and its copy."""

    bond: Bond
    model_id: int
    path: str
    """Of the model."""
    copy_path: str
    ensemble_type: str | None


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that is in the registry now."""

    change: Change
    model_id: int
    lost: Mapping[str, object] = field(default_factory=dict)
    """What other content at the path cost: ``results``, ``aliases``, ``pinned``, ``tags``."""
    fault: str | None = None
    """What makes no sense in the note beside it; None where that is known already."""
    ensembles: tuple[Ensembling, ...] = ()
    """What it makes different between models and their copies."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a plan."""

    applied: tuple[Applied, ...] = ()
    dropped: tuple[str, ...] = ()
    """Paths whose change no longer held, on the disk or in the registry: look again."""

    @property
    def events(self) -> tuple[Applied, ...]:
        """What is an event in a model's life."""
        return tuple(one for one in self.applied if one.change.verb is not Verb.REFRESHED)


class Candidate(NamedTuple):
    """A model as retention sees it. Times are nanoseconds since the epoch.

    A million of them are made and dropped in a decision: a named tuple is made in a third of the
    time that a frozen dataclass takes.
    """

    model_id: int
    path: str
    interval: str | None
    ticker: str | None
    type: str | None
    format: str
    family: str
    architecture: str | None
    """Its likeness: trainings of one architecture are one family."""
    step: int | None
    state: State
    modified_ns: int
    seen_ns: int
    """First seen, or moved to where it is now, whichever is later."""
    size_bytes: int
    revision: int = 0
    resume: bool = False
    pinned: bool = False
    aliased: bool = False
    ensemble: bool = False
    """It is copied into an ensemble, or lies in one."""
    tags: Mapping[str, str | None] = NOTHING
    results: Mapping[str, float] = NOTHING
    """Metric -> newest value of the present content, of the metrics that a rule asks for."""

    @property
    def group(self) -> tuple[object, ...]:
        """Its family: retention works on one at a time."""
        return (self.family, self.format, self.architecture)


UNRULED = "no rule matches"
"""The reason of what is kept because no rule is about it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep or remove, and why."""

    candidate: Candidate
    keep: bool
    reasons: tuple[str, ...]
    """Of the keeps and guards that hold it; of the rule that lets it go. Never empty."""
    rule: int | None = None
    """Which of the rules, counted from 0, is the model's; None where none matches it."""


class Purged(NamedTuple):
    """A model that was removed from the trash for good."""

    model_id: int
    path: str
    reason: str
    bytes_freed: int

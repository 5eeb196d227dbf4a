"""The difference between disk and registry, as pure functions of plain values.

``compare`` says what is new, changed, gone or settling; ``conclude`` says, once what is new or
changed has been read, what happened to which model. No disk, no database, no clock in here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from watcherd.artifact import (
    Artifact,
    FileFact,
    Part,
    Snapshot,
    accompanied,
    head_of,
    without_companions,
)
from watcherd.origins import find_origins
from watcherd.plan import (
    Change,
    Note,
    Outcome,
    Plan,
    Reading,
    Record,
    Settling,
    State,
    Verb,
    Work,
)

NO_FILES: Mapping[str, FileFact] = {}

NONE_TRASHED: Mapping[int, Verb] = MappingProxyType({})

Looks = Mapping[str, Settling]
"""Path -> what still settled there when it was last looked at."""


def compare(
    snapshot: Snapshot,
    records: Iterable[Record],
    *,
    now: int,
    settle: int,
    looks: Looks | None = None,
    trashed: Collection[int] = (),
    reread: bool = False,
    rename: bool = False,
) -> Work:
    """What differs between a snapshot and the records of its scope.

    ``records`` are the rows on disk whose folder the scope covers; ``now`` and ``settle`` are in
    nanoseconds; ``trashed`` are the models whose files our own trash holds whole, so that their
    absence needs no quiet time; ``reread`` calls everything changed, ``rename``
    everything refreshed. Companions are never waited for: their facts tell nothing of the model.
    """
    quiet = _Quiet(now, settle, looks or {})
    lost = {record.path: record for record in records}
    new, changed, refreshed = [], [], []
    for path, artifact in snapshot.artifacts.items():
        record = lost.get(path)
        if record is not None and record.model_id in trashed:
            # Our trash holds that model: what is at its path now was saved anew.
            record = None
        else:
            lost.pop(path, None)
        if record is None:
            if quiet.reached(artifact, artifact.parts, _newest(artifact)):
                new.append(artifact)
        elif reread or _differ(artifact.parts, record.parts):
            newest = max(_newest(artifact), _loss_since(snapshot, artifact, record))
            if quiet.reached(artifact, artifact.parts, newest):
                changed.append((artifact, record))
        else:
            whole = accompanied(artifact, record.companions, snapshot.beside)
            resumes = path in snapshot.resume
            if rename or whole.parts != record.parts or resumes != record.resume:
                refreshed.append((whole, record))
    arriving = quiet.heads()
    gone = [
        record
        for path, record in lost.items()
        if (since := snapshot.absent_since(record.folder)) is not None
        and not snapshot.hides(path)
        and (record.model_id in trashed or quiet.reached(record, (), since))
        and not quiet.awaits(record, arriving)
    ]
    return Work(
        tuple(new),
        tuple(changed),
        tuple(refreshed),
        tuple(gone),
        tuple(quiet.settling.values()),
        {
            record.fingerprint: quiet.settling[path]
            for path, record in lost.items()
            if record.fingerprint and path in quiet.settling
        },
    )


def conclude(
    work: Work,
    readings: Mapping[str, Reading],
    *,
    kin: Iterable[Record] = (),
    resume: Collection[str] = (),
    beside: Mapping[str, FileFact] = NO_FILES,
    trashed: Mapping[int, Verb] = NONE_TRASHED,
    final: bool = True,
) -> Plan:
    """What happened to which model.

    ``readings`` are by path, one for each of ``work.unread``. ``kin`` are rows that are neither on
    disk nor in our trash and share a path, an inode or a fingerprint with something new: what was
    lost and may be found again. Unless ``final``, what is gone may yet be found in another slice,
    and is not called missing. ``resume`` are the prefixes that state files name, ``beside`` the
    files that notes may name as companions.
    """
    arriving = _arriving(work, readings)
    unclear = {one.path for one in arriving} | _unread(readings)
    clear = _with_companions(_without(work, unclear), readings, beside)
    origins = find_origins(clear, readings, tuple(kin))
    found = {origin.model_id for origin in origins.values()}
    own = {artifact.path: record for artifact, record in clear.changed}
    changes = [
        *(
            _rewrite(artifact, own[artifact.path], readings[artifact.path])
            if _keeps_its_row(artifact, own, origins, found)
            else _arrival(artifact, readings[artifact.path], origins.get(artifact.path))
            for artifact in sorted(clear.unread, key=lambda one: (one.modified_ns, one.path))
        ),
        *(Change(Verb.REFRESHED, one.path, record, one, None) for one, record in clear.refreshed),
        # Last, so that nothing is called missing before all that was found is in its place.
        *(
            _loss(record, trashed)
            for record in (
                *(clear.gone if final else ()),
                *(own[path] for path in origins.keys() & own.keys()),
            )
            if record.model_id not in found
        ),
    ]
    return Plan(
        changes=tuple(replace(change, resume=change.path in resume) for change in changes),
        settling=(*work.settling, *arriving),
        blind={
            path: reading.reason or "it cannot be read"
            for path, reading in readings.items()
            if reading.outcome is Outcome.DENIED
        },
        again=tuple(p for p, r in readings.items() if r.outcome is Outcome.CHANGED),
    )


def _unread(readings: Mapping[str, Reading]) -> set[str]:
    """What could not be read, or changed while it was."""
    return {p for p, r in readings.items() if r.outcome in (Outcome.CHANGED, Outcome.DENIED)}


def _arriving(work: Work, readings: Mapping[str, Reading]) -> tuple[Settling, ...]:
    """What is new, while a model of its content is about to be gone: they are judged together.

    To another file system a model is copied, and is removed a moment later where it was.
    """
    return tuple(
        replace(leaving, path=one.path, folder=one.folder, parts=one.parts)
        for one in work.new
        if (leaving := work.leaving.get(readings[one.path].fingerprint or ""))
    )


def _without(work: Work, unclear: Collection[str]) -> Work:
    return replace(
        work,
        new=tuple(artifact for artifact in work.new if artifact.path not in unclear),
        changed=tuple(pair for pair in work.changed if pair[0].path not in unclear),
    )


def _with_companions(
    work: Work, readings: Mapping[str, Reading], beside: Mapping[str, FileFact]
) -> Work:
    """The work with the files that the notes name; what a broken note said last stands."""

    def whole(artifact: Artifact, said: Sequence[str] = ()) -> Artifact:
        note = readings[artifact.path].note
        return accompanied(artifact, _companions_in(note, said), beside)

    return replace(
        work,
        new=tuple(whole(artifact) for artifact in work.new),
        changed=tuple((whole(one, record.companions), record) for one, record in work.changed),
    )


def _companions_in(note: Note | None, said: Sequence[str]) -> Sequence[str]:
    if note is None:
        return ()
    return note.companions if note.is_readable else said


def _keeps_its_row(
    artifact: Artifact,
    own: Mapping[str, Record],
    origins: Mapping[str, Record],
    found: Collection[int],
) -> bool:
    """Whether the path's row is still this artifact's: neither came from elsewhere nor went."""
    record = own.get(artifact.path)
    return record is not None and artifact.path not in origins and record.model_id not in found


@dataclass
class _Quiet:
    """Tells what has been quiet for long enough, and keeps what has not."""

    now: int
    settle: int
    looks: Looks
    settling: dict[str, Settling] = field(default_factory=dict)

    def reached(self, one: Artifact | Record, parts: tuple[Part, ...], newest: int) -> bool:
        """Whether every fact is older than ``settle``, or was the same ``settle`` ago.

        The second way is for mtimes that lie in the future, and for absence from a folder that is
        never quiet.
        """
        look = self.looks.get(one.path)
        # Not later than now: a clock that was set back must not make an old look young for ever.
        since = min(look.since, self.now) if look and look.parts == parts else self.now
        due = min(newest, since) + self.settle
        if due <= self.now:
            return True
        self.settling[one.path] = Settling(one.path, one.folder, parts, since, due)
        return False

    def heads(self) -> dict[int, int]:
        """Inode -> due of the heads that still settle: what may be a moved model's new place."""
        return {
            head.fact.inode: seen.due
            for seen in self.settling.values()
            if (head := head_of(seen.parts)) is not None
        }

    def awaits(self, record: Record, arriving: Mapping[int, int]) -> bool:
        """Whether a gone record's own inode settles elsewhere: a move is judged in one piece."""
        due = arriving.get(record.head.fact.inode) if record.head else None
        if due is None:
            return False
        self.settling[record.path] = Settling(record.path, record.folder, (), self.now, due)
        return True


def _newest(artifact: Artifact) -> int:
    """Its youngest fact, in ns; ctime moves where mtime was set back (``cp -p``, ``mv``)."""
    return max(max(part.fact.mtime_ns, part.fact.ctime_ns) for part in artifact.parts)


def _loss_since(snapshot: Snapshot, artifact: Artifact, record: Record) -> int:
    """When a part went that the record had, at the latest; 0 where none did.

    A trainer deletes a checkpoint file by file: the files that are left tell nothing of it.
    """
    known = {part.path for part in without_companions(record.parts)}
    if known <= {part.path for part in artifact.parts}:
        return 0
    return snapshot.absent_since(artifact.folder) or 0


def _differ(seen: tuple[Part, ...], known: tuple[Part, ...]) -> bool:
    """Whether any fact differs but the device number, which NFS and btrfs change by themselves.

    ``seen`` has no companions yet, and those that are known make no difference.
    """
    known = without_companions(known)
    return [_without_device(part) for part in seen] != [_without_device(part) for part in known]


def _without_device(part: Part) -> Part:
    return part._replace(fact=part.fact._replace(device=0))


_ARRIVED = {
    Outcome.COMPLETE: Verb.REGISTERED,
    Outcome.INCOMPLETE: Verb.INCOMPLETE,
    Outcome.UNREADABLE: Verb.UNREADABLE,
}


def _arrival(artifact: Artifact, reading: Reading, origin: Record | None) -> Change:
    """Something at a path that had no row on disk."""
    if origin is None:
        verb = _ARRIVED[reading.outcome]
    elif origin.state is State.TRASHED:
        verb = Verb.RESTORED
    elif origin.path == artifact.path:
        verb = Verb.RETURNED
    else:
        verb = Verb.MOVED
    return Change(verb, artifact.path, origin, artifact, reading)


def _rewrite(artifact: Artifact, record: Record, reading: Reading) -> Change:
    """Other facts at a path that has a row on disk."""
    return Change(_rewrite_verb(record, reading), artifact.path, record, artifact, reading)


def _rewrite_verb(record: Record, reading: Reading) -> Verb:
    match reading.outcome, record.state:
        case (Outcome.INCOMPLETE, State.INCOMPLETE) | (Outcome.UNREADABLE, State.UNREADABLE):
            return Verb.REFRESHED
        case Outcome.INCOMPLETE, _:
            return Verb.INCOMPLETE
        case Outcome.UNREADABLE, _:
            return Verb.UNREADABLE
        case _, State.INCOMPLETE:
            return Verb.COMPLETED
        case _, State.PRESENT if reading.fingerprint == record.fingerprint:
            return Verb.REFRESHED
    return Verb.UPDATED


def _loss(record: Record, trashed: Mapping[int, Verb]) -> Change:
    verb = trashed.get(record.model_id, Verb.MISSING)
    return Change(verb, record.path, record, None, None)

"""The cycle: scan, load, compare, read, conclude, apply. The only place where its order stands.

Events are hints; the disk is the truth. Whatever woke us only names a scope; the cause is a label.
"""

import hashlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from watcherd import drift, logs, naming, scan, trash
from watcherd.artifact import Artifact, Part, Role, Snapshot
from watcherd.child import Broken, Child
from watcherd.errors import RootSuspended, TrashError
from watcherd.mounts import mounts_below
from watcherd.naming import Naming
from watcherd.plan import (
    ON_DISK,
    Change,
    Outcome,
    Plan,
    Reading,
    Record,
    Report,
    Settling,
    State,
    Work,
)
from watcherd.readers.batch import Job, prepare, read_batch
from watcherd.registry import Direction, Intent, Kin, Mode, Registry, Root, Writer
from watcherd.root import Marker, moving_files, new_marker, open_root, read_marker, write_marker
from watcherd.scope import ROOT, Request, Scope, folders, homes, is_text, parent_of

NOTHING = trash.Held.NOTHING

INNER = frozenset({naming.VARIABLES, *naming.ASSET_FOLDERS})
"""Folders whose files are parts of a SavedModel one folder above."""

MANY = 1_000
"""Changes of one cycle that are told one by one."""
SCOPE = 1_000
"""Folders in one part of the last look for what was lost."""

PATIENCE = 10.0
"""Seconds that a command waits for what settles."""


@dataclass
class Cycle:
    """What one cycle was asked, saw, decided and did, added up over its parts.

    Of a look at the whole root, lists keep the first ``MANY`` only; ``counts`` counts all.
    """

    request: Request
    scope: Scope
    """What was looked at: the request's scope and the folders that moves led to."""
    folders: int = 0
    artifacts: int = 0
    """Of the folders that were not what they were."""
    counts: Counter[str] = field(default_factory=Counter)
    """Verb -> events that were applied."""
    planned: Counter[str] = field(default_factory=Counter)
    """Verb -> events that were planned: all there is of a dry run."""
    plan: Plan = field(default_factory=Plan)
    report: Report = field(default_factory=Report)
    dues: dict[str, int] = field(default_factory=dict)
    """Folder -> when the first of what settles in it will have, in ns since the epoch."""
    blind: dict[str, str] = field(default_factory=dict)
    """Every path that nothing can be said about, with the reason."""
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was applied and is an event in a model's life."""
        return tuple(one.change for one in self.report.events)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Paths to look at again: changed while they were read, or since."""
        return (*self.plan.again, *self.report.dropped)

    def add(self, part: "_Part") -> None:
        """Take one part in."""
        most = MANY if self.request.scope == ROOT else None
        plan, report = part.plan, part.report
        self.scope |= part.scope
        self.folders += len(part.snapshot.folders)
        self.artifacts += len(part.snapshot.artifacts)
        self.counts.update(str(one.change.verb) for one in report.events)
        self.planned.update(str(change.verb) for change in plan.events)
        self.plan = Plan(
            (*self.plan.changes, *plan.changes)[:most],
            (*self.plan.settling, *plan.settling)[:most],
            again=(*self.plan.again, *plan.again),
        )
        self.report = Report(
            (*self.report.applied, *report.applied)[:most],
            (*self.report.dropped, *report.dropped),
        )
        for seen in plan.settling:
            self.dues[seen.folder] = min(seen.due, self.dues.get(seen.folder, seen.due))
        self.blind |= {**part.snapshot.blind, **plan.blind}
        self.skipped |= part.snapshot.skipped


@dataclass(frozen=True, slots=True)
class _Job:
    """What is the same for every part of a cycle."""

    root_fd: int
    request: Request
    trashed: frozenset[int]
    dry_run: bool
    reread: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """What became of one part of a cycle."""

    scope: Scope
    snapshot: Snapshot
    plan: Plan
    report: Report
    loose: frozenset[str]
    """Folders that models are gone from: to be looked at again when all was seen."""


@dataclass
class Reconciler:
    """Keeps one registry equal to one models root, a scope at a time."""

    registry: Registry
    root: Root
    naming: Naming
    settle: float
    """Seconds."""
    actor: str
    child: Child[Job, Reading] = field(default_factory=lambda: Child(read_batch, prepare=prepare))
    looks: dict[str, Settling] = field(default_factory=dict)
    """What settled when it was last looked at, by path."""
    slice: int = scan.SLICE
    """Artifacts in one part of a large cycle."""
    between: Callable[[], None] = lambda: None
    """Called between the parts of a large cycle: what is due meanwhile need not wait."""
    mounts: frozenset[str] | None = None
    """Mount points below the root, known so far; None until the registry was asked."""
    broken: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    """What a child could not finish once, by path: the second time it is the file's own fault."""

    def warm(self) -> None:
        """Start the reading child before it is needed: the daemon is to be quick from the start."""
        self.child.warm()

    def close(self) -> None:
        """End the reading child."""
        self.child.close()

    def check_root(self) -> None:
        """Raise RootSuspended where the root is not the one that the registry knows."""
        with open_root(Path(self.root.path), self.root.uuid):
            pass

    def cycle(self, request: Request, *, dry_run: bool = False, reread: bool = False) -> Cycle:
        """Make the registry equal to the disk for a scope; says what differed.

        Raises RootSuspended where the root is not there, and RegistryError.
        """
        started = time.monotonic()
        with open_root(Path(self.root.path), self.root.uuid) as root_fd:
            trashed = frozenset() if dry_run else self._settle_intents(root_fd)
            job = _Job(root_fd, request, trashed, dry_run, reread)
            cycle = Cycle(request, request.scope)
            for part in self._parts(job, cycle):
                cycle.add(part)
            if request.scope == ROOT and not dry_run and not cycle.report.dropped:
                self._note_naming()
        cycle.seconds = time.monotonic() - started
        return cycle

    def _parts(self, job: "_Job", cycle: "Cycle") -> Iterator["_Part"]:
        """One part where the scope is small; else slice after slice, and then what was lost.

        A model that is gone from one slice may lie in another: only when all were seen is it
        looked for by its folder once more, and called missing.
        """
        scope = _with_saved_models(job.request.scope)
        is_fresh = job.reread or self._is_renaming
        known = {} if is_fresh else self.registry.fingerprints(self.root.root_id, scope)
        slices = scan.walk(job.root_fd, scope, self.naming, known, most=self.slice)
        first, second = next(slices), next(slices, None)
        if second is None:
            yield self._part(job, scope, replace(first, scope=scope), known)
            return
        unseen = set(self.registry.fingerprints(self.root.root_id, scope))
        for snapshot in chain([first, second], slices):
            part = self._part(job, snapshot.scope, snapshot, known, final=False)
            unseen -= snapshot.folders.keys()
            unseen |= part.loose
            yield part
            self.between()
        places = sorted(unseen)
        for at in range(0, len(places), SCOPE):
            yield self._part(job, folders(places[at : at + SCOPE]), None, {})

    def _part(
        self,
        job: "_Job",
        scope: Scope,
        snapshot: Snapshot | None,
        known: Mapping[str, bytes | None],
        *,
        final: bool = True,
    ) -> "_Part":
        """Look, conclude and apply for one part of a scope."""
        look = self._look(job, scope, snapshot, known)
        plan = drift.conclude(
            look.work,
            look.readings,
            kin=look.kin.lost,
            resume=look.snapshot.resume,
            trashed=job.trashed,
            final=final,
        )
        report = Report()
        if not job.dry_run:
            report = self._apply(job.root_fd, plan, job.request, look.now)
            if job.request.scope == ROOT:
                self._note_folders(look, plan, report)
        loose = frozenset() if final else frozenset(one.folder for one in look.work.gone)
        return _Part(look.scope, look.snapshot, plan, report, loose)

    def adopt_root(self) -> None:
        """Take the folder at the root's path for the root, at a person's word."""
        with open_root(Path(self.root.path), None) as root_fd:
            marker = _marker_or_none(root_fd)
            if marker is None:
                marker = new_marker(self.registry.url)
                write_marker(root_fd, marker)
        self.root = self.registry.adopt(
            self.root, marker.uuid, host=socket.gethostname(), actor=self.actor, now=time.time_ns()
        )
        self.mounts = None

    def cycle_until_settled(
        self, request: Request, *, patience: float = PATIENCE, reread: bool = False
    ) -> tuple[Cycle, ...]:
        """Cycles over one scope until nothing in it settles, or ``patience`` seconds have passed.

        The last one's plan names what still settles.
        """
        give_up = time.monotonic() + patience
        cycles = [self.cycle(request, reread=reread)]
        while wait := self._wait_for(cycles[-1], give_up):
            time.sleep(wait)
            cycles.append(self.cycle(request))
        return tuple(cycles)

    def _wait_for(self, last: Cycle, give_up: float) -> float:
        """Seconds until something of the last cycle may be looked at again; 0 to stop."""
        dues = [(seen.due - time.time_ns()) / 1e9 for seen in last.plan.settling]
        dues += [self.settle for _ in last.unfinished]
        if not dues or time.monotonic() >= give_up:
            return 0.0
        # A clock set back makes a due lie far off: look again after `settle` at the latest.
        return max(min(*dues, self.settle, give_up - time.monotonic()), 0.01)

    def _settle_intents(self, root_fd: int) -> frozenset[int]:
        """Finish what a crash left half done; returns the models that the trash holds whole.

        The registry says what was meant, the disk what was done. Where nothing had moved yet the
        intent is dropped: its decision is old. Where something had, the rest follows.
        """
        if not self.registry.intents(self.root.root_id, unsettled=True):
            return frozenset()
        with moving_files(root_fd):
            return frozenset(
                intent.record.model_id
                for intent in self.registry.intents(self.root.root_id, unsettled=True)
                if self._settle_intent(root_fd, intent)
            )

    def _settle_intent(self, root_fd: int, intent: Intent) -> bool:
        """Whether the trash holds it whole, on its way out."""
        try:
            entry = entry_of(intent)
            held = trash.holds(root_fd, entry)
            if intent.direction is Direction.BACK:
                if held is trash.Held.WHOLE:
                    self.registry.turn(intent.record.model_id, Direction.OUT)
                elif held is trash.Held.PARTLY:
                    trash.bring_back(root_fd, entry)
                return False
            if held is trash.Held.PARTLY:
                trash.move_out(root_fd, entry, manifest_of(intent))
            elif held is NOTHING:
                self.registry.cancel(intent.record.model_id)
                return False
        except TrashError as error:
            logs.get().error(
                logs.FAILURE_RAISED, path=intent.record.path, error=error.message, hint=error.hint
            )
            return False
        return True

    def _look(
        self,
        job: "_Job",
        scope: Scope,
        snapshot: Snapshot | None,
        known: Mapping[str, bytes | None],
    ) -> "_Look":
        """Compare; a possible move widens the scope to the folder it came from, and looks anew."""
        readings: dict[str, Reading] = {}
        read: dict[str, tuple[Part, ...]] = {}
        while True:
            if snapshot is None:
                snapshot = scan.scan(job.root_fd, scope, self.naming, known)
            snapshot = self._with_lost_mounts(snapshot)
            now = snapshot.at
            records = self._load(scope, snapshot, known)
            work = drift.compare(
                snapshot,
                records,
                now=now,
                settle=self._settle_ns,
                looks=self.looks,
                trashed=job.trashed,
                reread=job.reread,
                rename=self._is_renaming,
            )
            fresh = [one for one in work.unread if read.get(one.path) != one.parts]
            readings.update(self._read(fresh))
            read.update((one.path, one.parts) for one in fresh)
            kin = self._find_kin(job.root_fd, work, readings)
            wider = scope | folders(record.folder for record in kin.elsewhere)
            if wider == scope:
                self._remember(scope, work)
                readings = {one.path: readings[one.path] for one in work.unread}
                return _Look(scope, now, known, snapshot, work, readings, kin)
            scope, snapshot, known = wider, None, {}

    def _load(
        self, scope: Scope, snapshot: Snapshot, known: Mapping[str, bytes | None]
    ) -> list[Record]:
        """The rows to compare: none of the folders that are what they were."""
        if not snapshot.unchanged:
            return self.registry.load(self.root.root_id, scope)
        looked_at = snapshot.folders.keys() | known.keys()
        return self.registry.load_folders(self.root.root_id, looked_at - snapshot.unchanged)

    def _note_folders(self, look: "_Look", plan: Plan, report: Report) -> None:
        """Remember the listings whose rows are equal to them now.

        After a look at the root only: after each event it would cost a second transaction.
        """
        snapshot = look.snapshot
        holding = look.known.keys() | {one.folder for one in snapshot.artifacts.values()}
        unclear = (
            *(seen.folder for seen in plan.settling),
            *(home for path in (*plan.again, *report.dropped, *plan.blind) for home in homes(path)),
        )
        equal = (snapshot.fingerprints.keys() & holding) - set(unclear)
        if equal:
            listed = {path: snapshot.fingerprints[path] for path in equal}
            self.registry.note_folders(self.root.root_id, listed)

    def _with_lost_mounts(self, snapshot: Snapshot) -> Snapshot:
        """A folder that was a mount point and is none now is a blind spot, however empty it is."""
        if self.mounts is None:
            self.mounts = self.registry.mounts(self.root)
        there = mounts_below(self.root.path)
        known = {path for path in there if is_text(path) and not self.naming.ignores(path)}
        if self.registry.mode is not Mode.READ and not known <= self.mounts:
            self.registry.add_mounts(self.root, known - self.mounts)
            self.mounts |= known
        lost = dict.fromkeys(self.mounts - there, "a mount point that is none now: is it mounted?")
        return replace(snapshot, blind={**snapshot.blind, **lost}) if lost else snapshot

    @property
    def _naming(self) -> str:
        """Hash of the rules for names: other rules place the rows anew."""
        return hashlib.blake2b(repr(self.naming).encode(), digest_size=16).hexdigest()

    @property
    def _is_renaming(self) -> bool:
        return self.root.naming not in (None, self._naming)

    def _note_naming(self) -> None:
        if self.root.naming != self._naming:
            self.root = self.registry.note_naming(self.root, self._naming)

    @property
    def _settle_ns(self) -> int:
        return int(self.settle * 1e9)

    def _read(self, artifacts: Iterable[Artifact]) -> dict[str, Reading]:
        jobs = [(self.root.path, artifact) for artifact in artifacts]
        results = self.child.map(jobs)
        return {
            artifact.path: self._reading_of(artifact, result)
            for (_, artifact), result in zip(jobs, results, strict=True)
        }

    def _reading_of(self, artifact: Artifact, result: Reading | Broken) -> Reading:
        """A child may be killed for want of memory, or starve beside busy trainers: one failure
        proves nothing about a file, and a row called unreadable would not be read again."""
        before = self.broken.pop(artifact.path, None)
        if not isinstance(result, Broken):
            return result
        if result.by_itself and before == artifact.parts:
            return Reading(Outcome.UNREADABLE, reason=f"reading it failed: {result.reason}")
        if result.by_itself:
            self.broken[artifact.path] = artifact.parts
        return Reading(Outcome.CHANGED, reason=result.reason)

    def _find_kin(self, root_fd: int, work: Work, readings: dict[str, Reading]) -> Kin:
        if not work.unread:
            return Kin((), ())
        seen = [readings[artifact.path].fingerprint for artifact in work.unread]
        kin = self.registry.find_kin(self.root.root_id, work.unread, filter(None, seen))
        return replace(kin, lost=tuple(r for r in kin.lost if not self._is_held(root_fd, r)))

    def _is_held(self, root_fd: int, record: Record) -> bool:
        """Whether our trash holds a row's files: then nothing on disk can be that model."""
        if record.state is not State.TRASHED:
            return False
        intent = self.registry.intent_of(record.model_id)
        return intent is not None and trash.holds(root_fd, entry_of(intent)) is not NOTHING

    def _remember(self, scope: Scope, work: Work) -> None:
        """What settles now is compared with the next look; what no longer does is forgotten.

        Only absence, and times in the future, need two looks; the rest settles by time alone.
        """
        for path in [path for path, one in self.looks.items() if scope.covers(one.folder)]:
            del self.looks[path]
        self.looks.update((one.path, one) for one in work.settling if one.needs_two_looks)

    def _apply(self, root_fd: int, plan: Plan, request: Request, now: int) -> Report:
        if not plan.changes:
            return Report()
        if self.root.uuid is None:
            self._meet_root(root_fd)
        writer = Writer(self.root.root_id, self.naming, request.cause, self.actor, now)
        return self.registry.apply(plan, writer, partial(_still_holds, root_fd))

    def _meet_root(self, root_fd: int) -> None:
        """Put our marker on the root, or take note of the one that it bears.

        A marker that was there before this registry means a registry was lost or restored:
        nothing is pruned then until a person says so.
        """
        try:
            with moving_files(root_fd):
                self.root = self._met(root_fd)
        except (RootSuspended, TrashError):
            return  # a root that we may only read works too: without marker, and without pruning

    def _met(self, root_fd: int) -> Root:
        """One process at a time: another of this registry may have met the root meanwhile."""
        known = self.registry.root(self.root.path)
        if known is not None and known.uuid is not None:
            return known
        marker = read_marker(root_fd)
        is_new = marker is None
        if marker is None:
            marker = new_marker(self.registry.url)
            write_marker(root_fd, marker)
        return self.registry.mark_root(
            self.root, uuid=marker.uuid, host=marker.host, prune_confirmed=is_new
        )


def entry_of(intent: Intent) -> trash.Entry:
    """What the trash moves for an intent: the files, never a trainer's temporary folder."""
    parts = tuple(part for part in intent.record.parts if part.role is not Role.TEMPORARY)
    return trash.Entry(intent.record.path, intent.trash_path, parts)


def manifest_of(intent: Intent) -> dict[str, object]:
    """What stands beside the files in the trash, for the day when the registry is lost."""
    return {
        "model_id": intent.record.model_id,
        "fingerprint": intent.record.fingerprint,
        "reasons": list(intent.reasons),
    }


@dataclass(frozen=True, slots=True)
class _Look:
    scope: Scope
    now: int
    known: Mapping[str, bytes | None]
    """The folders that hold models -> what their listing was when it was last equal to them."""
    snapshot: Snapshot
    work: Work
    readings: dict[str, Reading]
    kin: Kin


def _marker_or_none(root_fd: int) -> Marker | None:
    """A marker that cannot be read is as good as none to a person who adopts the root."""
    try:
        return read_marker(root_fd)
    except RootSuspended:
        return None


def _with_saved_models(scope: Scope) -> Scope:
    """What changes in ``variables/`` or ``assets/`` is told by the folder that holds them."""
    inner = (one for one in scope.folders | scope.trees if one.rpartition("/")[2] in INNER)
    return scope | folders(map(parent_of, inner))


def _still_holds(root_fd: int, change: Change) -> bool:
    """Look at the disk once more, inside the transaction that writes the change."""
    if change.artifact is not None and not scan.is_unchanged(root_fd, change.artifact):
        return False
    left = change.artifact is None or (
        change.from_path is not None
        and change.record is not None
        and change.record.state in ON_DISK
    )
    return not left or (change.record is not None and _has_left(root_fd, change.record))


def _has_left(root_fd: int, record: Record) -> bool:
    """Whether nothing that makes the model is in its place; another's files may be.

    A graph or a temporary folder that stayed behind is no model.
    """
    needed = [part for part in record.parts if part.role not in (Role.GRAPH, Role.TEMPORARY)]
    try:
        return not any(scan.is_file(root_fd, part) for part in needed)
    except OSError:
        return False

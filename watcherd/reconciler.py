"""The cycle: scan, load, compare, read, conclude, apply. The only place where its order stands.

Events are hints; the disk is the truth. Whatever woke us only names a scope; the cause is a label.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from watcherd import drift, logs, naming, pulse, scan, trash
from watcherd.artifact import ASIDE, Artifact, Part, Role, Snapshot
from watcherd.child import Broken, Child
from watcherd.cycle import Cycle, Portion
from watcherd.look import Look
from watcherd.meeting import adopt, meet
from watcherd.mounts import mounts_below
from watcherd.naming import Naming
from watcherd.openers import Place, find_lockers, read_locks
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
    Verb,
    Work,
)
from watcherd.readers.batch import Job, prepare, read_batch
from watcherd.recovery import entry_of, recover
from watcherd.registry import Kin, Mode, Registry, Root, Writer
from watcherd.registry.intents import (
    find_intents,
)
from watcherd.registry.links import load_links, note_links
from watcherd.root import open_root
from watcherd.scope import ROOT, Request, Scope, folders, is_text, lineage, parent_of

INNER = frozenset({naming.VARIABLES, *naming.ASSET_FOLDERS})
"""Folders whose files are parts of a SavedModel one folder above."""

SCOPE = 1_000
"""Folders in one part of the last look for what was lost."""

READING = 120.0
"""Seconds that may pass between two results of the reading child: of a batch that hangs, and then
of its first item alone (see ``child``)."""

PATIENCE = 10.0
"""Seconds that a command waits for what settles."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is the same for every part of a cycle."""

    root_fd: int
    request: Request
    trashed: Mapping[int, Verb]
    dry_run: bool
    reread: bool
    rename: bool
    """Whether the rows were placed by other rules for names when it began."""
    locks: Mapping[Place, int]
    """What writers had locked when it began -> a process that did."""


def _nothing() -> None:
    """Nobody waits."""


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
    between: Callable[[], None] = _nothing
    """Called between the parts of a large cycle: what is due meanwhile need not wait."""
    coming: Callable[[], Scope] = Scope
    """Where folders appeared of late: what is gone elsewhere may be in them."""
    mounts: frozenset[str] | None = None
    """Mount points below the root, known so far; None until the registry was asked."""
    links: frozenset[str] | None = None
    """Symlinks below the root, known so far; None until the registry was asked."""
    halfway: dict[str, str] = field(default_factory=dict)
    """Path -> why a move of it could not be finished when it was last tried."""
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

    def refresh_root(self) -> Root:
        """The root, with what others wrote of it since it was read."""
        self.root = self.registry.refreshed(self.root)
        return self.root

    def cycle(self, request: Request, *, dry_run: bool = False, reread: bool = False) -> Cycle:
        """Make the registry equal to the disk for a scope; says what differed.

        Raises RootSuspended where the root is not there, and RegistryError.
        """
        started, worked = time.monotonic(), time.thread_time()
        before = self.refresh_root().naming
        with open_root(Path(self.root.path), self.root.uuid) as root_fd:
            trashed = {} if dry_run else self._recover(root_fd)
            # Before the scan: a lock that is newer has made the file's facts young.
            locks = read_locks(writers_only=True)
            job = _Job(root_fd, request, trashed, dry_run, reread, self.is_renaming, locks)
            cycle = Cycle(request, request.scope)
            for part in self._parts(job):
                cycle.add(part)
            if request.scope == ROOT and not dry_run and not cycle.report.dropped:
                self._note_naming(before)
        cycle.seconds = time.monotonic() - started
        cycle.effort = max(cycle.scanning, time.thread_time() - worked)
        return cycle

    def _recover(self, root_fd: int) -> Mapping[int, Verb]:
        """Finish what a crash left half done; what cannot be is told when that begins."""
        done = recover(self.registry, self.root.root_id, root_fd)
        for path, error in done.failed.items():
            if self.halfway.get(path) != error.message:
                logs.get().error(
                    logs.FAILURE_RAISED, path=path, error=error.message, hint=error.hint
                )
        self.halfway = {path: error.message for path, error in done.failed.items()}
        return done.trashed

    def _parts(self, job: "_Job") -> Iterator[Portion]:
        """One part where the scope is small; else slice after slice, and then what was lost.

        A model that is gone from one slice may lie in another: only when all were seen is it
        looked for by its folder once more, and called missing.
        """
        scope = _with_saved_models(job.request.scope)
        is_fresh = job.reread or job.rename
        known = {} if is_fresh else self.registry.fingerprints(self.root.root_id, scope)
        slices = scan.walk(job.root_fd, scope, self.naming, known, most=self.slice)
        first, second = next(slices), next(slices, None)
        if second is None:
            yield from self._part(job, scope, first, known)
            return
        unseen = set(self.registry.fingerprints(self.root.root_id, scope))
        for snapshot in chain([first, second], slices):
            unseen -= snapshot.folders.keys()
            # What was locked since the look began has settled by now, and may still be locked.
            job = replace(job, locks=read_locks(writers_only=True))
            for part in self._part(job, snapshot.scope, snapshot, known, final=False):
                unseen |= part.loose
                yield part
            self._let_others_pass()
        places = sorted(unseen)
        for at in range(0, len(places), SCOPE):
            yield from self._part(job, folders(places[at : at + SCOPE]), None, {})

    def _part(
        self,
        job: "_Job",
        scope: Scope,
        snapshot: Snapshot | None,
        known: Mapping[str, bytes | None],
        *,
        final: bool = True,
    ) -> Iterator[Portion]:
        """Look, conclude and apply for one part of a scope.

        One folder may hold a hundred thousand new models: no more than make a slice are read at
        once. A possible move widens the scope to the folder it came from, and looks anew; where
        something is gone, to the folders that appeared meanwhile, which were made for it, perhaps:
        no event tells of a move to a folder that is not watched yet.
        """
        look = self._look(job, scope, snapshot, known)
        if final and look.work.gone and (wider := scope | self.coming()) != scope:
            snapshot = self._scan_small(job, wider)
            look = self._look(job, wider, snapshot, {}) if snapshot else look
        read: dict[str, tuple[tuple[Part, ...], Reading]] = {}
        while True:
            work, left = look.work.split(self.slice)
            readings = self._readings(work, read, job.locks)
            kin = self._find_kin(job.root_fd, work, readings)
            wider = look.scope | folders(record.folder for record in kin.elsewhere)
            if wider != look.scope:
                look = self._look(job, wider, None, {})
                continue
            plan = drift.conclude(
                work,
                readings,
                kin=kin.lost,
                resume=look.snapshot.resume,
                beside=look.snapshot.beside,
                trashed=job.trashed,
                final=final and left is None,
            )
            report = Report() if job.dry_run else self._apply(job, plan, look)
            look.note(plan, report)
            if left is None:
                break
            yield Portion(look.scope, plan, report)
            read.clear()
            look.work = left.without(change.record for change in plan.changes)
            self._let_others_pass()
        loose = frozenset() if final else look.places_of_gone
        self._remember(look, job, loose)
        yield look.tell(plan, report, loose)

    def adopt_root(self) -> None:
        """Take the folder at the root's path for the root, at a person's word."""
        self.root = adopt(self.registry, self.root, self.actor, now=time.time_ns())
        self.mounts = None

    def cycle_until_settled(
        self, request: Request, *, patience: float = PATIENCE, reread: bool = False
    ) -> tuple[Cycle, ...]:
        """Cycles over one scope until nothing in it settles, or it did for ``patience`` seconds.

        The last one's plan names what still settles.
        """
        cycles = [self.cycle(request, reread=reread)]
        give_up = time.monotonic() + patience
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

    def _look(
        self,
        job: "_Job",
        scope: Scope,
        snapshot: Snapshot | None,
        known: Mapping[str, bytes | None],
    ) -> Look:
        """Scan, unless that is done, load, and compare."""
        if snapshot is None:
            snapshot = scan.scan(job.root_fd, scope, self.naming, known)
        held = known or self.registry.fingerprints(self.root.root_id, scope)
        snapshot = self._with_lost_mounts(_with_hidden(snapshot, held))
        work = drift.compare(
            snapshot,
            self._load(scope, snapshot, known),
            now=snapshot.at,
            settle=self._settle_ns,
            looks=self.looks,
            trashed=job.trashed,
            reread=job.reread,
            rename=job.rename,
        )
        return Look(scope, snapshot, held, work)

    def _scan_small(self, job: _Job, scope: Scope) -> Snapshot | None:
        """What a scope holds; None where that is more than a slice."""
        with closing(scan.walk(job.root_fd, scope, self.naming, {}, most=self.slice)) as slices:
            first, second = next(slices), next(slices, None)
        return first if second is None else None

    def _load(
        self, scope: Scope, snapshot: Snapshot, known: Mapping[str, bytes | None]
    ) -> list[Record]:
        """The rows to compare: none of the folders that are what they were, and none of those that
        neither hold an artifact nor are known to hold a model."""
        if not snapshot.unchanged:
            return self.registry.load(self.root.root_id, scope)
        holding = {artifact.folder for artifact in snapshot.artifacts.values()}
        looked_at = holding | scope.among(known.keys())
        return self.registry.load_folders(self.root.root_id, looked_at - snapshot.unchanged)

    def _remember(self, look: Look, job: "_Job", loose: frozenset[str]) -> None:
        """What the next look is to know of this one."""
        self._note_settling(look)
        if not job.dry_run:
            self._note_links(look.snapshot)
            if job.request.scope == ROOT:
                self._note_folders(look, loose)

    def _note_folders(self, look: Look, loose: frozenset[str]) -> None:
        """Remember the listings whose rows are equal to them now.

        After a look at the root only: after each event it would cost a second transaction.
        """
        listed = look.listings(loose)
        if listed:
            self.registry.note_folders(self.root.root_id, listed, look.held, look.stamp)
        if look.unlisted:
            self.registry.forget_folders(self.root.root_id, look.unlisted)

    def _note_links(self, snapshot: Snapshot) -> None:
        """Remember the symlinks: what one of them leads to is never pruned."""
        if self.links is None or snapshot.scope == ROOT:
            self.links = load_links(self.registry, self.root.root_id)
        gone = {path for path in self.links - snapshot.links if _is_gone(path, snapshot)}
        if gone or not snapshot.links <= self.links:
            note_links(self.registry, self.root.root_id, seen=snapshot.links, gone=gone)
            self.links = (self.links - gone) | snapshot.links

    def lost_mounts(self) -> dict[str, str]:
        """Folder that was a mount point and is none now -> that: a blind spot, however empty."""
        if self.mounts is None:
            self.mounts = self.registry.mounts(self.root)
        there = mounts_below(self.root.path)
        known = {path for path in there if is_text(path) and not self.naming.ignores(path)}
        if self.registry.mode is not Mode.READ and not known <= self.mounts:
            self.registry.add_mounts(self.root, known - self.mounts)
            self.mounts |= known
        return dict.fromkeys(self.mounts - there, "a mount point that is none now: is it mounted?")

    def _with_lost_mounts(self, snapshot: Snapshot) -> Snapshot:
        lost = self.lost_mounts()
        return replace(snapshot, blind={**snapshot.blind, **lost}) if lost else snapshot

    @property
    def _naming(self) -> str:
        """Hash of the rules for names: other rules place the rows anew."""
        return hashlib.blake2b(repr(self.naming).encode(), digest_size=16).hexdigest()

    @property
    def is_renaming(self) -> bool:
        """Whether a cycle places the rows anew: they were placed by other rules for names."""
        return self.root.naming not in (None, self._naming)

    def _note_naming(self, before: str | None) -> None:
        """Unless others placed rows by their rules meanwhile: the next cycle places those anew."""
        if self.refresh_root().naming == before != self._naming:
            self.root = self.registry.note_naming(self.root, self._naming)

    @property
    def _settle_ns(self) -> int:
        return int(self.settle * 1e9)

    def _readings(
        self,
        work: Work,
        read: dict[str, tuple[tuple[Part, ...], Reading]],
        locks: Mapping[Place, int],
    ) -> dict[str, Reading]:
        """What must be read, read; ``read`` is what was a moment ago, and is not read again."""
        fresh = [one for one in work.unread if read.get(one.path, ((),))[0] != one.parts]
        held = _held_by_writers(fresh, locks)
        read.update((one.path, (one.parts, held[one.path])) for one in fresh if one.path in held)
        free = [one for one in fresh if one.path not in held]
        jobs = [(self.root.path, artifact) for artifact in free]
        pulse.beat(READING)
        for artifact, result in zip(free, self.child.map(jobs), strict=True):
            read[artifact.path] = artifact.parts, self._reading_of(artifact, result)
        return {one.path: read[one.path][1] for one in work.unread}

    def _reading_of(self, artifact: Artifact, result: Reading | Broken) -> Reading:
        """A child may be killed for want of memory, or starve beside busy trainers: one failure
        proves nothing about a file, and a row called unreadable would not be read again."""
        pulse.beat(READING)
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
        seen = [(artifact, readings[artifact.path].fingerprint) for artifact in work.unread]
        kin = self.registry.find_kin(self.root.root_id, seen)
        trashed = [record.model_id for record in kin.lost if record.state is State.TRASHED]
        held = {
            model_id
            for model_id, intent in find_intents(self.registry, trashed).items()
            if trash.holds(root_fd, entry_of(intent)) is not trash.Held.NOTHING
        }
        # What our trash holds, nothing on disk can be.
        return replace(kin, lost=tuple(one for one in kin.lost if one.model_id not in held))

    def _note_settling(self, look: Look) -> None:
        """What settles now is compared with the next look; what no longer does is forgotten.

        Only absence, and times in the future, need two looks; the rest settles by time alone.
        """
        scope = look.scope
        for path in [path for path, one in self.looks.items() if scope.covers(one.folder)]:
            del self.looks[path]
        self.looks.update((one.path, one) for one in look.work.settling if one.needs_two_looks)

    def _apply(self, job: "_Job", plan: Plan, look: Look) -> Report:
        if not plan.changes:
            return Report()
        if self.root.uuid is None:
            self.root = meet(self.registry, self.root, job.root_fd)
        cause, now = job.request.cause, look.snapshot.at
        writer = Writer(self.root.root_id, self.naming, cause, self.actor, now, look.stamp)
        return self.registry.apply(plan, writer, partial(_still_holds, job.root_fd))

    def _let_others_pass(self) -> None:
        """Let what is due meanwhile have its turn; one such turn is not interrupted by another."""
        between, self.between = self.between, _nothing
        try:
            between()
        finally:
            self.between = between


def _held_by_writers(
    artifacts: Sequence[Artifact], locks: Mapping[Place, int]
) -> dict[str, Reading]:
    """Path -> not yet: what a writer has locked may look whole whenever it was flushed."""
    held = find_lockers((part for one in artifacts for part in one.files), locks)
    return {
        one.path: Reading(Outcome.CHANGED, reason=f"it is {held[part.path]}")
        for one in artifacts
        for part in one.files
        if part.path in held
    }


def _with_saved_models(scope: Scope) -> Scope:
    """What changes in ``variables/`` or ``assets/`` is told by the folder that holds them."""
    inner = (one for one in scope.folders | scope.trees if one.rpartition("/")[2] in INNER)
    return scope | folders(map(parent_of, inner))


def _with_hidden(snapshot: Snapshot, holding: Iterable[str]) -> Snapshot:
    """A folder of models that has become a symlink is a blind spot; other symlinks hide nothing."""
    if not snapshot.links:
        return snapshot
    above = {place for path in holding for place in lineage(path)}
    hidden = dict.fromkeys(snapshot.links & above, "it has become a symlink, which is not followed")
    return replace(snapshot, blind={**snapshot.blind, **hidden})


def _is_gone(link: str, snapshot: Snapshot) -> bool:
    """Whether a symlink that is not among a snapshot's was in a folder that it tells of."""
    folder = parent_of(link)
    is_told = snapshot.scope.covers(folder) and snapshot.absent_since(folder) is not None
    return is_told and not snapshot.hides(link)


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

    A graph, a temporary folder or a note that stayed behind is no model.
    """
    idle = {Role.GRAPH, Role.TEMPORARY, *ASIDE}
    needed = [part for part in record.parts if part.role not in idle]
    try:
        return not any(scan.is_file(root_fd, part) for part in needed)
    except OSError:
        return False

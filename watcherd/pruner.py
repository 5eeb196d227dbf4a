"""Pruning: decide, scan again, ask the guards, move to the trash; and purge what is due there.

It has no second set of books. The rules decide upon rows that were made equal to the disk a moment
ago; what became of the files the ordinary cycle sees.
"""

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from watcherd.config.values import FreeSpace
from watcherd.cycle import Cycle
from watcherd.errors import Refused, RootSuspended
from watcherd.guards import find_held
from watcherd.plan import NOTHING, Candidate, Format, State, Verb, Verdict
from watcherd.purging import Doomed, Emptied, choose, measure_space, purge
from watcherd.reconciler import Reconciler
from watcherd.registry import By
from watcherd.registry.candidates import load_candidates
from watcherd.registry.intents import Removal, list_intents
from watcherd.registry.verdicts import keep_verdicts
from watcherd.retention import Rule, Verdicts, decide, metrics_of
from watcherd.root import HOUSE, open_root, read_marker
from watcherd.scope import Cause, Request, Scope, folders, parent_of
from watcherd.trashing import Meaning, move_out

Look = Callable[[Sequence[Candidate]], tuple[Cycle, ...]]
"""Looks at the folders of candidates again."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about pruning. Durations in seconds."""

    rules: tuple[Rule, ...]
    dry_run: bool
    min_age: float
    trash_for: float
    max_prune_count: int
    max_prune_fraction: float
    min_free_space: FreeSpace = field(default_factory=FreeSpace)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a run decided and did."""

    verdicts: Verdicts
    dry_run: bool
    trashed: tuple[Verdict, ...] = ()
    failed: tuple[tuple[Verdict, str], ...] = ()
    """With the reason: changed since, in the trainer's hands, no permission, ..."""
    cycles: tuple[Cycle, ...] = ()

    @property
    def removing(self) -> Verdicts:
        """The verdicts that say remove."""
        return self.verdicts.removing

    @property
    def bytes_freed(self) -> int:
        return sum(verdict.candidate.size_bytes for verdict in self.trashed)


@dataclass
class Pruner:
    """Prunes one root by one policy."""

    reconciler: Reconciler
    policy: Policy

    def decide(self) -> Verdicts:
        """What the rules say about every model now. The disk is not scanned; only which processes
        have the models open that would go, and which symlinks lead to them, is looked up."""
        verdicts, _ = self._judge(lambda _: ())
        return verdicts

    def prune(self, cause: Cause, *, dry_run: bool = False, yes: bool = False) -> Pruned:
        """Apply the rules now. Raises Refused, RootSuspended, RegistryError.

        ``yes``: a person takes the responsibility for a mass prune, and for a registry that met
        this root already marked. ``dry_run``: a person only asks, and nothing is remembered of it.
        """
        verdicts, cycles = self._judge(lambda some: self.look(_folders_of(some), cause, dry_run))
        removing = verdicts.removing
        dry = dry_run or self.policy.dry_run
        if yes and not dry:
            self._confirm()
        if not dry and removing:
            self._refuse_unsafe(verdicts, removing, yes=yes)
        if not dry_run:
            self._remember(verdicts)
        if dry or not removing:
            return Pruned(verdicts, dry, cycles=cycles)
        return self._remove(verdicts, removing, cause, cycles)

    def purge(self, cause: Cause) -> Emptied:
        """Remove from the trash what has expired, and what a disk short of space needs.

        Only the host that prunes does, and not where every run is to be a dry one. Raises
        RootSuspended, RegistryError, TrashError.
        """
        root = self.reconciler.refresh_root()
        if self.policy.dry_run or not root.prune_confirmed or self.host != socket.gethostname():
            return Emptied()
        return purge(self.reconciler, self._due(), By(self.reconciler.actor, cause))

    def _due(self) -> tuple[Doomed, ...]:
        root = self.reconciler.root
        intents = list_intents(self.reconciler.registry, root.root_id)
        if not intents:
            return ()
        free, total = measure_space(root.path)
        lacking = self.policy.min_free_space.of(total) - free
        return choose(intents, now=time.time_ns(), lacking=lacking)

    def _judge(self, look: Look) -> tuple[Verdicts, tuple[Cycle, ...]]:
        """Decide; scan the folders of what would go, and ask the guards about it; decide again,
        until everything that would go has been checked."""
        cycles: tuple[Cycle, ...] = ()
        held: dict[str, str] = {}
        asked: set[str] = set()
        verdicts = self._apply_rules(held)
        while fresh := [v.candidate for v in verdicts.removing if v.candidate.path not in asked]:
            seen = look(fresh)
            held |= find_held(self.reconciler, fresh, seen)
            asked |= {one.path for one in fresh}
            cycles += seen
            verdicts = self._apply_rules(held)
        return verdicts, cycles

    def _apply_rules(self, held: Mapping[str, str] = NOTHING) -> Verdicts:
        rules = self.policy.rules
        reconciler = self.reconciler
        return decide(
            load_candidates(reconciler.registry, reconciler.root.root_id, metrics_of(rules)),
            rules,
            now=time.time_ns(),
            min_age=int(self.policy.min_age * 1e9),
            held=held,
        )

    def look(self, scope: Scope, cause: Cause, dry_run: bool = False) -> tuple[Cycle, ...]:
        """Make the rows equal to the disk before a decision.

        Who only asks what other settings would do does not have every row placed by them: their
        rules are applied to the models as they are known.
        """
        dry = dry_run and self.reconciler.is_renaming
        return (self.reconciler.cycle(Request(scope, cause), dry_run=dry),)

    def _remember(self, verdicts: Verdicts) -> None:
        root_id = self.reconciler.root.root_id
        keep_verdicts(self.reconciler.registry, root_id, verdicts, time.time_ns())

    @property
    def host(self) -> str | None:
        """The only one that prunes here: whom the root's marker names now, as a person on another
        host may have adopted the root since; of a root that is not there, whom it named."""
        root = self.reconciler.root
        try:
            with open_root(Path(root.path), root.uuid) as root_fd:
                marker = read_marker(root_fd)
        except RootSuspended:
            return root.host
        return marker.host if marker else None

    def _confirm(self) -> None:
        """A person says --yes, also where nothing is to go today."""
        root = self.reconciler.refresh_root()
        if root.uuid and not root.prune_confirmed and self.host == socket.gethostname():
            self.reconciler.root = self.reconciler.registry.mark_root(
                root, uuid=root.uuid, host=socket.gethostname(), prune_confirmed=True
            )

    def _refuse_unsafe(
        self, verdicts: Sequence[Verdict], removing: Sequence[Verdict], *, yes: bool
    ) -> None:
        root = self.reconciler.root
        host = self.host
        if host is None:
            raise Refused(
                f"{root.path} has no marker {HOUSE}/root.json: nothing is pruned there without",
                hint=f"let the user that watcherd runs as write in {root.path}/{HOUSE}",
            )
        if host != socket.gethostname():
            raise Refused(
                f"only {host} prunes {root.path}",
                hint="run watcherd prune there, or move the root to this host with "
                "watcherd reconcile --adopt-root",
            )
        if not root.prune_confirmed:
            raise Refused(
                f"{root.path} was in use before this registry was made: marks that a lost "
                "registry held are not known here",
                hint="look at watcherd prune --dry-run, then watcherd prune --yes",
            )
        present = sum(one.candidate.state is State.PRESENT for one in verdicts)
        too_many = len(removing) > self.policy.max_prune_count
        if too_many and len(removing) > self.policy.max_prune_fraction * present and not yes:
            raise Refused(
                f"{len(removing)} of {present} models would be removed, more than "
                "max_prune_count and max_prune_fraction allow in one run",
                hint="look at watcherd prune --dry-run, then watcherd prune --yes",
            )

    def _remove(
        self,
        verdicts: Verdicts,
        removing: Sequence[Verdict],
        cause: Cause,
        cycles: tuple[Cycle, ...],
    ) -> Pruned:
        by = By(self.reconciler.actor, cause)
        meaning = Meaning(Verb.PRUNED, self.policy.trash_for, by)
        moved = move_out(self.reconciler, [_removal_of(one) for one in removing], meaning)
        return Pruned(
            verdicts,
            dry_run=False,
            trashed=tuple(one for one in removing if one.candidate.model_id in moved.done),
            failed=tuple(
                (one, moved.failed[one.candidate.model_id].message)
                for one in removing
                if one.candidate.model_id in moved.failed
            ),
            cycles=(*cycles, *moved.cycles),
        )


def _removal_of(verdict: Verdict) -> Removal:
    one = verdict.candidate
    return Removal(one.model_id, one.path, one.revision, verdict.reasons)


def _folders_of(some: Iterable[Candidate]) -> Scope:
    return folders(map(_folder_of, some))


def _folder_of(one: Candidate) -> str:
    """The folder whose listing yields it: a SavedModel is its own."""
    return one.path if one.format == Format.SAVED_MODEL else parent_of(one.path)

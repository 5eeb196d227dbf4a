"""Pruning: decide, write the intent, move to the trash, reconcile; and the way back.

It has no second set of books. The rules decide upon rows that were made equal to the disk a moment
ago; what became of the files the ordinary cycle sees.
"""

import socket
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from watcherd import trash
from watcherd.errors import NoSuchModel, Refused, TrashError
from watcherd.plan import State, Verdict
from watcherd.reconciler import Cycle, Reconciler, entry_of, manifest_of
from watcherd.registry import By, Direction, Intent
from watcherd.retention import Rule, decide
from watcherd.root import moving_files, open_root
from watcherd.scope import Cause, Request, Scope, folders, homes, parent_of

BATCH = 500
"""Models between two looks at the disk: what a run broken off leaves to be repaired is small."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about pruning. Durations in seconds."""

    rules: tuple[Rule, ...]
    dry_run: bool
    min_age: float
    trash_for: float
    max_prune_count: int
    max_prune_fraction: float


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a run decided and did."""

    verdicts: tuple[Verdict, ...]
    dry_run: bool
    trashed: tuple[Verdict, ...] = ()
    failed: tuple[tuple[Verdict, str], ...] = ()
    """With the reason: changed since, in the trainer's hands, no permission, ..."""
    cycles: tuple[Cycle, ...] = ()

    @property
    def removing(self) -> tuple[Verdict, ...]:
        """The verdicts that say remove."""
        return tuple(verdict for verdict in self.verdicts if not verdict.keep)

    @property
    def bytes_freed(self) -> int:
        return sum(verdict.candidate.size_bytes for verdict in self.trashed)


@dataclass
class Pruner:
    """Prunes one root by one policy."""

    reconciler: Reconciler
    policy: Policy

    def prune(self, cause: Cause, *, dry_run: bool = False, yes: bool = False) -> Pruned:
        """Apply the rules now. Raises Refused, RootSuspended, RegistryError.

        ``yes``: a person takes the responsibility for a mass prune, and for a registry that met
        this root already marked.
        """
        removing = [one for one in self._decide() if not one.keep]
        cycle = self._look_again(removing, cause)
        verdicts = self._decide(unclear=_unclear_in(cycle))
        dry = dry_run or self.policy.dry_run
        removing = [one for one in verdicts if not one.keep]
        if not dry and removing:
            self._refuse_unsafe(verdicts, removing, yes=yes)
        if dry or not removing:
            return Pruned(verdicts, dry, cycles=cycle)
        return self._remove(verdicts, removing, cause, cycle)

    def _decide(self, unclear: Collection[str] = ()) -> tuple[Verdict, ...]:
        candidates = self.reconciler.registry.candidates(self.reconciler.root.root_id)
        return decide(
            candidates,
            self.policy.rules,
            now=time.time_ns(),
            min_age=int(self.policy.min_age * 1e9),
            unclear=unclear,
        )

    def _look_again(self, removing: Iterable[Verdict], cause: Cause) -> tuple[Cycle, ...]:
        scope = _folders_of(removing)
        return (self.reconciler.cycle(Request(scope, cause)),) if scope else ()

    def _refuse_unsafe(
        self, verdicts: Sequence[Verdict], removing: Sequence[Verdict], *, yes: bool
    ) -> None:
        root = self.reconciler.root
        if root.host != socket.gethostname():
            raise Refused(
                f"only {root.host or 'the host of its marker'} prunes {root.path}",
                hint="run watcherd prune there, or move the root to this host with "
                "watcherd reconcile --adopt-root",
            )
        if root.uuid and not root.prune_confirmed and yes:
            self.reconciler.root = self.reconciler.registry.mark_root(
                root, uuid=root.uuid, host=root.host, prune_confirmed=True
            )
        elif not root.prune_confirmed:
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
        verdicts: tuple[Verdict, ...],
        removing: Sequence[Verdict],
        cause: Cause,
        before: tuple[Cycle, ...],
    ) -> Pruned:
        trashed: list[Verdict] = []
        failed: list[tuple[Verdict, str]] = []
        cycles = list(before)
        for at in range(0, len(removing), BATCH):
            batch = removing[at : at + BATCH]
            with self._root() as root_fd, moving_files(root_fd):
                moved: list[trash.Entry] = []
                for verdict in batch:
                    why = self._move_out(root_fd, verdict, cause, moved)
                    trashed += [] if why else [verdict]
                    failed += [(verdict, why)] if why else []
                # Each folder once for the batch: one wait for the disk a model is ten times slower.
                trash.sync_folders(root_fd, moved)
            cycles.append(self.reconciler.cycle(Request(_folders_of(batch), cause)))
        return Pruned(verdicts, False, tuple(trashed), tuple(failed), tuple(cycles))

    def _move_out(
        self, root_fd: int, verdict: Verdict, cause: Cause, moved: list[trash.Entry]
    ) -> str | None:
        """Move one artifact to the trash; the reason where that could not be done."""
        registry, one = self.reconciler.registry, verdict.candidate
        now = time.time_ns()
        place = trash.trash_path_for(one.model_id, datetime.fromtimestamp(now / 1e9, UTC))
        intent = registry.intend(
            one,
            place,
            verdict.reasons,
            now=now,
            expires=now + int(self.policy.trash_for * 1e9),
            by=By(self.reconciler.actor, cause),
        )
        if intent is None:
            return "it changed, or was marked, since the decision"
        try:
            entry = entry_of(intent)
            moved.append(entry)
            trash.move_out(root_fd, entry, manifest_of(intent), sync=False)
        except TrashError as error:
            self._cancel_unmoved(root_fd, intent)
            return error.message
        return None

    def _cancel_unmoved(self, root_fd: int, intent: Intent) -> None:
        """Drop an intent of which nothing moved; the next cycle sees to what could not go back."""
        with suppress(TrashError):
            if trash.holds(root_fd, entry_of(intent)) is not trash.Held.NOTHING:
                return
        self.reconciler.registry.cancel(intent.record.model_id)

    def restore(self, model_id: int) -> tuple[Cycle, ...]:
        """Bring a model back from the trash; it is pinned then.

        Raises NoSuchModel where it is not in the trash, TrashError where something is in its way.
        """
        registry, root_id = self.reconciler.registry, self.reconciler.root.root_id
        intent = next(
            (one for one in registry.intents(root_id) if one.record.model_id == model_id), None
        )
        if intent is None:
            raise NoSuchModel(
                f"model {model_id} is not in the trash",
                hint="watcherd list --state trashed shows what is",
            )
        try:
            with self._root() as root_fd, moving_files(root_fd):
                by = By(self.reconciler.actor, Cause.REQUEST)
                registry.turn(model_id, Direction.BACK, by)
                trash.bring_back(root_fd, entry_of(intent))
        except TrashError:
            registry.turn(model_id, Direction.OUT)
            raise
        scope = folders([parent_of(intent.record.path)])
        return self.reconciler.cycle_until_settled(Request(scope, Cause.REQUEST))

    def _root(self) -> AbstractContextManager[int]:
        root = self.reconciler.root
        return open_root(Path(root.path), root.uuid)


def _unclear_in(cycles: Iterable[Cycle]) -> frozenset[str]:
    """What could not be judged a moment ago: still changing, changed meanwhile, or not readable."""
    return frozenset(
        path
        for cycle in cycles
        for path in (*(one.path for one in cycle.plan.settling), *cycle.unfinished, *cycle.blind)
    )


def _folders_of(verdicts: Iterable[Verdict]) -> Scope:
    return folders(home for one in verdicts for home in homes(one.candidate.path))

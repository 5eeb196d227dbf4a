"""One life of the models root: its registry, its watch, its schedule, and the worker's loop.

The worker is the only thread that looks at the disk or writes the registry. watchdog's and
APScheduler's threads put requests into the inbox, or raise a flag and wake it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from watcherd import journal, logs, naming
from watcherd.config import Cron, Settings, Timing
from watcherd.errors import Refused, RootSuspended, WatcherdError
from watcherd.inbox import Inbox
from watcherd.notify import notify
from watcherd.pruner import Pruner
from watcherd.reconciler import Cycle, Reconciler
from watcherd.scope import ROOT, Cause, Request, folders, homes, parent_of
from watcherd.watch import Trouble, Watch
from watcherd.wiring import pruner_of

CHECK = 2.0
"""Seconds between two looks at the root's identity and at the watch."""

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 300.0
"""Seconds until a failing cycle is tried again; doubled each time."""

_TROUBLES = {
    Trouble.OVERFLOW: logs.WATCH_OVERFLOW,
    Trouble.LIMIT: logs.WATCH_DEGRADED,
    Trouble.LOST: logs.WATCH_LOST,
}


@dataclass
class Session:
    """The daemon's work upon one root, from its first scan to its end."""

    settings: Settings
    reconciler: Reconciler
    pruner: Pruner
    inbox: Inbox
    prune_wanted: threading.Event = field(default_factory=threading.Event)
    is_whole: bool = False
    """The first full scan has finished; nothing is pruned before."""
    last: Cycle | None = None
    blind: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be looked at, of all cycles so far."""
    _tries: dict[str, int] = field(default_factory=dict)
    """Path -> how often in a row its change no longer held."""
    _watch: Watch | None = None
    _backoff: float = 0.0
    _refused: str = ""

    def work(self, should_end: Callable[[], bool], on_change: Callable[[], None]) -> None:
        """Watch, scan, and follow the disk until told to end or the watch is lost.

        Raises RootSuspended where the root goes. ``on_change`` is called when there is news.
        """
        with self._watched() as watch, self._scheduled():
            self.reconciler.warm()
            self.reconciler.between = self._let_small_ones_pass
            self.inbox.put(Request(ROOT, Cause.STARTUP))
            on_change()
            while not should_end() and watch.is_healthy():
                notify(WATCHDOG=1)
                if request := self.inbox.take(CHECK):
                    self._guarded(lambda: self._cycle(request), request)
                    on_change()
                if self.prune_wanted.is_set() and self.is_whole:
                    self.prune_wanted.clear()
                    self._prune_guarded()
                    on_change()

    def describe(self) -> dict[str, Any]:
        """What ``status`` shows of a running daemon."""
        coverage = self._watch.coverage() if self._watch else None
        return {
            "coverage": {
                "watched": coverage.watched if coverage else 0,
                "folders": (coverage.watched + coverage.refused + coverage.unreadable)
                if coverage
                else 0,
                "overflows": coverage.overflows if coverage else 0,
            },
            "backlog": self.inbox.backlog,
            "first_scan_done": self.is_whole,
            "blind": self.blind,
            "last_cycle": self.last and journal.counts_of(self.last),
        }

    # -- the worker -------------------------------------------------------------------------------

    def _guarded(self, act: Callable[[], None], request: Request | None = None) -> None:
        """Do it; where the registry fails, say so once and try again later, less and less often."""
        try:
            act()
        except RootSuspended:
            raise
        except WatcherdError as error:
            self._note_failure(error.message, hint=error.hint)
            self._put_back(request)
        except Exception as error:  # noqa: BLE001  one odd file must not end the daemon
            self._note_failure(f"{type(error).__name__}: {error}", exc_info=True)
            self._put_back(request)
        else:
            self._note_success()

    def _prune_guarded(self) -> None:
        """A prune that fails is said, and comes again by its own schedule."""
        try:
            self._prune()
        except RootSuspended:
            raise
        except WatcherdError as error:
            logs.get().error(logs.FAILURE_RAISED, error=error.message, hint=error.hint)

    def _put_back(self, request: Request | None) -> None:
        if request is not None:
            self.inbox.put_at(request, time.monotonic() + self._backoff)

    def _note_failure(self, error: str, **more: object) -> None:
        if not self._backoff:
            logs.get().error(logs.FAILURE_RAISED, error=error, **more)
        self._backoff = min(max(2 * self._backoff, FIRST_BACKOFF), LONGEST_BACKOFF)

    def _note_success(self) -> None:
        if self._backoff:
            self._backoff = 0.0
            logs.get().info(logs.FAILURE_ENDED)

    def _cycle(self, request: Request) -> None:
        cycle = self.reconciler.cycle(request)
        self.last = cycle
        self._note_blind(cycle)
        if request.scope == ROOT:
            self.is_whole = True
            self._heal()
        journal.tell_cycle(cycle, self.reconciler.registry)
        self.inbox.done(request, cycle.seconds)
        self._look_again(cycle)

    def _let_small_ones_pass(self) -> None:
        """Between the slices of a look at the root: a new save does not wait for its end."""
        notify(WATCHDOG=1)
        request = self.inbox.take(0)
        if request is None:
            return
        if request.scope == ROOT:
            self.inbox.put(request)  # after this one
        else:
            self._guarded(lambda: self._cycle(request), request)

    def _heal(self) -> None:
        """Watch what could not be watched before: a limit was raised, a permission was given."""
        if self._watch is None:
            return
        was_limited = self._watch.coverage().refused > 0
        self._watch.heal()
        if was_limited and not self._watch.coverage().refused:
            logs.get().info(logs.WATCH_HEALED, watched=self._watch.coverage().watched)

    def _look_again(self, cycle: Cycle) -> None:
        """Each folder once more, when the first of what settles in it will have."""
        now, settle = time.monotonic(), self.settings.watch.settle
        soon = now + settle
        dues = {home: now + self._rest(path) for path in cycle.unfinished for home in homes(path)}
        for folder, due_ns in cycle.dues.items():
            due = now + max((due_ns - time.time_ns()) / 1e9, 0.0)
            # A clock set back puts a due far off; two looks `settle` apart will do then.
            dues[folder] = min(due, soon, dues.get(folder, soon))
        for folder, due in dues.items():
            self.inbox.put_at(Request(folders([folder]), cycle.request.cause), due)

    def _rest(self, path: str) -> float:
        """Seconds until a change that no longer held is looked at again: longer each time."""
        tries = self._tries[path] = self._tries.get(path, 0) + 1
        longer: float = self.settings.watch.settle * 2.0 ** min(tries - 1, 20)
        return min(longer, LONGEST_BACKOFF)

    def _note_blind(self, cycle: Cycle) -> None:
        """A small cycle tells nothing about the blind spots elsewhere."""
        for path in [path for path in self.blind if cycle.scope.covers(parent_of(path))]:
            del self.blind[path]
        self.blind.update(cycle.blind)
        for path in [path for path in self._tries if cycle.scope.covers(parent_of(path))]:
            if path not in cycle.unfinished:
                del self._tries[path]

    def _prune(self) -> None:
        if not self.pruner.policy.rules:
            return
        try:
            pruned = self.pruner.prune(Cause.TIMER)
        except Refused as error:
            if error.message != self._refused:
                logs.get().warning(logs.PRUNE_REFUSED, error=error.message, hint=error.hint)
            self._refused = error.message
            return
        self._refused = ""
        journal.tell_prune(pruned, self.reconciler.registry, Cause.TIMER)
        for cycle in pruned.cycles:
            self._look_again(cycle)

    # -- what wakes it ----------------------------------------------------------------------------

    @contextmanager
    def _watched(self) -> Iterator[Watch]:
        self._watch = watch = Watch(
            self.settings.models.root,
            self.inbox.put,
            is_relevant=self._is_relevant,
            is_ignored_folder=naming.is_ignored_folder,
            temporary_of=naming.temporary_of,
            on_trouble=self._on_trouble,
        )
        try:
            watch.start()
            coverage = watch.coverage()
            logs.get().info(logs.WATCH_STARTED, watched=coverage.watched, refused=coverage.refused)
            yield watch
        finally:
            watch.stop()

    def _is_relevant(self, name: str) -> bool:
        state_files = self.reconciler.naming.state_files
        return naming.part_of(name) is not None or naming.is_state_file(name, state_files)

    def _on_trouble(self, trouble: Trouble) -> None:
        """In a thread of the watch: tell, and let the worker see to it."""
        coverage = self._watch.coverage() if self._watch else None
        logs.get().warning(
            _TROUBLES[trouble],
            watched=coverage.watched if coverage else 0,
            refused=coverage.refused if coverage else 0,
            reason=coverage.reason if coverage else "",
        )
        self.inbox.wake()

    @contextmanager
    def _scheduled(self) -> Iterator[None]:
        scheduler = BackgroundScheduler()
        schedule = self.settings.schedule
        jobs: tuple[tuple[Timing, Callable[[], None]], ...] = (
            (schedule.reconcile, lambda: self.inbox.put(Request(ROOT, Cause.TIMER))),
            (schedule.prune, self._want_prune),
        )
        for timing, job in jobs:
            if timing is not None:
                scheduler.add_job(job, _trigger(timing), coalesce=True, misfire_grace_time=None)
        scheduler.start()
        try:
            yield
        finally:
            scheduler.shutdown(wait=False)

    def _want_prune(self) -> None:
        self.prune_wanted.set()
        self.inbox.wake()


def _trigger(timing: Timing) -> BaseTrigger:
    if isinstance(timing, Cron):
        return CronTrigger.from_crontab(timing.line)
    assert timing is not None  # "off" makes no job
    return IntervalTrigger(seconds=timing.seconds)


@contextmanager
def open_session(settings: Settings, reconciler: Reconciler) -> Iterator[Session]:
    """A session upon an open registry."""
    inbox = Inbox(settle=settings.watch.settle)
    try:
        yield Session(settings, reconciler, pruner_of(settings, reconciler), inbox)
    finally:
        inbox.close()

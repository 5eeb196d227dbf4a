"""One session of the daemon: the root with its registry, watch and schedule, and the worker's loop.

The worker is the only thread that looks at the disk or writes the registry. watchdog's and
APScheduler's threads put requests into the inbox, or raise a flag and wake it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from watcherd import journal, logs, naming, pulse
from watcherd.blindspots import BlindSpots
from watcherd.config import Settings
from watcherd.cycle import MANY, Cycle
from watcherd.errors import Refused, RegistryFull, RootSuspended, WatcherdError
from watcherd.footing import CHECK, Footing
from watcherd.inbox import Inbox
from watcherd.plan import Verb
from watcherd.pruner import Pruner
from watcherd.reconciler import Reconciler
from watcherd.registry.following import adopters, lines_of_others
from watcherd.schedule import Schedule
from watcherd.scope import ROOT, Cause, Request, folders, homes, parent_of
from watcherd.sideline import Sideline, open_sideline
from watcherd.upkeep import Upkeep
from watcherd.watch.kernel import Names
from watcherd.watch.lookout import Lookout
from watcherd.wiring import pruner_of, upkeep_of

PRUNE_SECONDS = 3600.0
"""Seconds that a prune may take without a sign of life: to another file system it copies."""

COPY_SECONDS = 600.0
"""Seconds that copying the registry may take between two calls: a slow disk has to take in what was
written."""

FOLLOW = 10.0
"""Seconds between two looks at what others wrote, while nothing happens on the disk: of a purge by
a command no event tells."""

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 300.0
"""Seconds until a failing cycle is tried again; doubled each time."""


@dataclass
class Session:
    """The daemon's work upon one root, from its first scan to its end."""

    settings: Settings
    reconciler: Reconciler
    pruner: Pruner
    upkeep: Upkeep
    inbox: Inbox
    prune_wanted: threading.Event = field(default_factory=threading.Event)
    sideline: Sideline | None = None
    """None where nothing is to be verified."""
    upkeep_wanted: threading.Event = field(default_factory=threading.Event)
    is_whole: bool = False
    """The first full scan has finished; nothing is pruned before."""
    last: Cycle | None = None
    _blind: BlindSpots = field(init=False)
    _blind_due: float = 0.0
    """When to ask next whether what could not be looked at now can, monotonic seconds."""
    _tries: dict[str, int] = field(default_factory=dict)
    """Path -> how often in a row its change no longer held."""
    _footing: Footing = field(init=False)
    _backoff: float = 0.0
    _refused: str = ""
    _follow_at: float = 0.0
    """When to look what others wrote, monotonic seconds; at once after each cycle."""
    _followed: int = 0
    """The history_id up to which what others wrote was told."""
    _told: set[tuple[int, Verb]] = field(default_factory=set)
    """What our own cycles have logged since: what they found of a person's doing has that person's
    name in the history."""
    _failing: dict[str, str] = field(default_factory=dict)
    """What of the jobs failed last -> why."""
    _unmoved: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be moved to the trash last time."""
    _foreseen: Set[int] = frozenset()
    """The models that the last dry run would have moved to the trash."""
    _unpurged: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be purged last time."""

    def __post_init__(self) -> None:
        models, watch, schedule = self.settings.models, self.settings.watch, self.settings.schedule
        names = Names(
            self._is_relevant, naming.is_ignored_folder, naming.temporary_of, naming.note_of
        )
        wishes = {
            "reconcile": (schedule.reconcile, self._want_root),
            "prune": (schedule.prune, self._want_prune),
            "upkeep": (self.upkeep.care.timing, self._want_upkeep),
        }
        self._blind = BlindSpots(self.reconciler.root.path)
        self._footing = Footing(
            self.reconciler,
            Lookout(models.root, self._put, self._want_look, names, watch.use, watch.poll),
            Schedule(wishes),
        )

    def work(self, should_end: Callable[[], bool], on_change: Callable[[], None]) -> None:
        """Watch, scan, and follow the disk until told to end or the watch is lost.

        Raises RootSuspended where the root goes. ``on_change`` is called when there is news.
        """
        with self._footing.stood_upon():
            self.reconciler.between = self._let_small_ones_pass
            self.reconciler.coming = self.inbox.coming
            self.inbox.put(Request(ROOT, Cause.STARTUP))
            self.upkeep_wanted.set()
            self._followed = self.reconciler.registry.last_history_id()
            on_change()
            while not should_end() and self._stands():
                if request := self.inbox.take(self._patience()):
                    self._guarded(lambda: self._cycle(request), request)
                    self._follow_at = 0.0
                    on_change()
                if self.prune_wanted.is_set() and self.is_whole:
                    self.prune_wanted.clear()
                    pulse.beat(PRUNE_SECONDS)
                    self._prune_guarded()
                    self._footing.note_work()
                    on_change()
                if self.upkeep_wanted.is_set() and self.is_whole:
                    self.upkeep_wanted.clear()
                    self._keep_up()
                    on_change()
                if self.sideline and self.is_whole:
                    self.sideline.turn()
                self._look_at_blind()
                self._follow()

    def describe(self) -> dict[str, Any]:
        """What ``status`` shows of a running daemon."""
        return {
            **self._footing.describe(),
            "backlog": self.inbox.backlog,
            "first_scan_done": self.is_whole,
            "blind": self._blind.places,
            "last_cycle": self.last and journal.counts_of(self.last),
        }

    # -- the worker -------------------------------------------------------------------------------

    def _stands(self) -> bool:
        """Check what the work depends on; if timed requests were lost, they are made up for."""
        if self._footing.mend_schedule():
            self._want_root()
        return self._footing.look()

    def _patience(self) -> float:
        """Seconds until there is something to do besides what is asked for."""
        return self.sideline.patience(CHECK) if self.sideline and self.is_whole else CHECK

    def _guarded(self, act: Callable[[], None], request: Request | None = None) -> None:
        """Do it; where the registry fails, say so once and try again later, less and less often."""
        try:
            act()
        except RootSuspended:
            raise
        except WatcherdError as error:
            self._note_failure(error.message, hint=error.hint)
            self._put_back(request)
            if isinstance(error, RegistryFull) and self.settings.schedule.prune is not None:
                self._try(self._purge)
        except Exception as error:  # noqa: BLE001  one odd file must not end the daemon
            self._note_failure(f"{type(error).__name__}: {error}", exc_info=True)
            self._put_back(request)
        else:
            self._note_success()

    def _prune_guarded(self) -> None:
        """The trash is purged although pruning fails: where the disk is full that is what helps."""
        for act in (self._prune, self._purge):
            self._try(act)

    def _keep_up(self) -> None:
        """Nothing is dropped from a registry that should have a copy and has none."""
        pulse.beat(COPY_SECONDS)
        if self._try(self._back_up):
            self._try(self._compact)

    def _try(self, act: Callable[[], None]) -> bool:
        """Run a job that recurs by its own schedule; whether it succeeded. A failure is logged once
        when it begins, and once when it is over."""
        try:
            act()
        except RootSuspended:
            raise
        except WatcherdError as error:
            if self._failing.get(act.__name__) != error.message:
                logs.get().error(logs.FAILURE_RAISED, error=error.message, hint=error.hint)
            self._failing[act.__name__] = error.message
            return False
        except Exception as error:  # noqa: BLE001  no job may end the daemon: it would come again
            if act.__name__ not in self._failing:
                logs.get().error(logs.FAILURE_RAISED, error=repr(error), exc_info=True)
            self._failing[act.__name__] = repr(error)
            return False
        if self._failing.pop(act.__name__, None) is not None:
            logs.get().info(logs.FAILURE_ENDED)
        return True

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
        self._told |= {(one.model_id, one.change.verb) for one in cycle.report.applied}
        self._blind.note(cycle)
        self._note_tries(cycle)
        if request.scope == ROOT:
            self.is_whole = True
            self._footing.note_whole(cycle.folders)
        if cycle.planned or cycle.unfinished:
            self._footing.note_work()
        if cycle.report.applied and self.sideline:
            self.sideline.note_news()
        is_all = request.scope == ROOT != self._footing.lookout.polled
        is_routine = request.cause is Cause.TIMER and not is_all
        journal.tell_cycle(cycle, self.reconciler.registry, is_routine=is_routine)
        self.inbox.done(request, cycle.effort)
        self._look_again(cycle)

    def _follow(self) -> None:
        """Tell what commands beside us did to the models, and to the root, since the last turn."""
        if (now := time.monotonic()) < self._follow_at:
            return
        self._follow_at = now + FOLLOW
        reconciler = self.reconciler
        # What keeps us from the registry is told by what needs it; the lines are there later, too.
        with suppress(WatcherdError):
            root = reconciler.refresh_root()
            for actor in adopters(reconciler.registry, root.uuid, after=self._followed):
                journal.tell_adoption(root.path, actor)
            lines, self._followed = lines_of_others(
                reconciler.registry,
                root,
                reconciler.actor,
                after=self._followed,
                limit=MANY,
            )
            told, self._told = self._told, set()
            untold = [one for one in lines if (one["model_id"], one["verb"]) not in told]
            journal.tell_others(untold, reconciler.registry)

    def _let_small_ones_pass(self) -> None:
        """Between the slices of a look at the root: a new save does not wait for its end."""
        self._stands()
        request = self.inbox.take(0)
        if request is None:
            return
        if request.scope == ROOT:
            self.inbox.put(request)  # after this one
        else:
            self._guarded(lambda: self._cycle(request), request)

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

    def _look_at_blind(self) -> None:
        """Once every poll."""
        if (now := time.monotonic()) >= self._blind_due:
            self._blind_due = now + self.settings.watch.poll
            self.inbox.put(Request(self._blind.readable(), Cause.TIMER))

    def _note_tries(self, cycle: Cycle) -> None:
        """A small cycle tells nothing about what lies elsewhere."""
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
        registry = self.reconciler.registry
        self._unmoved = journal.tell_prune(pruned, registry, Cause.TIMER, self._unmoved)
        self._foreseen = journal.tell_foreseen(pruned, registry, Cause.TIMER, self._foreseen)
        for cycle in pruned.cycles:
            self._told |= {(one.model_id, one.change.verb) for one in cycle.report.applied}
            self._look_again(cycle)

    def _purge(self) -> None:
        emptied = self.pruner.purge(Cause.TIMER)
        registry = self.reconciler.registry
        self._unpurged = journal.tell_purge(emptied, registry, Cause.TIMER, self._unpurged)

    def _back_up(self) -> None:
        journal.tell_copy(self.upkeep.back_up(self._let_pass_meanwhile))

    def _compact(self) -> None:
        journal.tell_compactions(self.upkeep.compact(self._let_pass_meanwhile))

    def _let_pass_meanwhile(self) -> None:
        """Called many times a second while the registry is copied."""
        self._let_small_ones_pass()
        pulse.beat(COPY_SECONDS)

    # -- what wakes it ----------------------------------------------------------------------------

    def _is_relevant(self, name: str) -> bool:
        state_files = self.reconciler.naming.state_files
        is_file = naming.part_of(name) or naming.note_of(name)
        return is_file is not None or naming.is_state_file(name, state_files)

    def _put(self, request: Request) -> None:
        """In a thread of the watch."""
        self.inbox.put(request)
        if request.cause is Cause.EVENT and self._footing.want_reader():
            self.inbox.wake()

    def _want_look(self) -> None:
        """In a thread of the watch."""
        self._footing.look_soon()
        self.inbox.wake()

    def _want_root(self) -> None:
        self.inbox.put(Request(ROOT, Cause.TIMER))

    def _want_prune(self) -> None:
        self.prune_wanted.set()
        self.inbox.wake()

    def _want_upkeep(self) -> None:
        self.upkeep_wanted.set()
        self.inbox.wake()


@contextmanager
def open_session(settings: Settings, reconciler: Reconciler) -> Iterator[Session]:
    """A session upon an open registry."""
    inbox = Inbox(settle=settings.watch.settle)
    try:
        pruner, upkeep = pruner_of(settings, reconciler), upkeep_of(settings, reconciler)
        with open_sideline(settings, reconciler, inbox.wake) as sideline:
            yield Session(settings, reconciler, pruner, upkeep, inbox, sideline=sideline)
    finally:
        inbox.close()

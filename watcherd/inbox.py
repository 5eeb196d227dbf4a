"""Gathers requests until they are due: a busy folder is scanned once, not once for each event.

Every folder or tree asked for is a place that waits in a group with what must be looked at in the
same scope (both ends of a move). A group is due as soon as its first place is, which makes it early
at worst: what has not settled by then is put again by the cycle, for a later time.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from watcherd.scope import Cause, Request, Scope, is_within, lineage, parent_of, tree

REST = 10
"""A scope is not scanned again for this many times as long as its last scan took, so that scans
take at most a tenth of a core."""

LONGEST_REST = 60.0
"""Seconds; however long a scan took, its scope is scanned again after this time."""

_STRENGTH = (Cause.EVENT, Cause.TIMER, Cause.REQUEST, Cause.STARTUP, Cause.OVERFLOW)


def strongest(causes: Iterable[Cause]) -> Cause:
    """The label of a request made of several: what a reader of the log most needs to know.

    That events were lost, then that the daemon has just started, then that a person asked; the
    timer comes round anyway, and an event is the ordinary case.
    """
    return max(causes, key=_STRENGTH.index)


class _Place(NamedTuple):
    path: str
    is_tree: bool


@dataclass(eq=False, slots=True)
class _Group:
    """Places that are handed out together, at ``due`` on the inbox's clock."""

    places: set[_Place]
    due: float
    causes: set[Cause]

    def includes(self, other: "_Group") -> bool:
        """Whether handing out this one is all that the other asks for."""
        return self.due <= other.due and self.causes >= other.causes and self.places >= other.places

    def absorb(self, other: "_Group") -> None:
        self.places |= other.places
        self.due = min(self.due, other.due)
        self.causes |= other.causes


class Inbox:
    """Requests go in from any thread; the worker takes out what is due, merged into one scope.

    ``settle``: seconds from a folder's first event until it is due. ``clock``: monotonic seconds.
    More than ``most_per_parent`` places below one folder become that folder's tree, more than
    ``most_folders`` in all become the root, so memory is bounded at any rate of events. (The root
    cannot become its parent: directly below it only ``most_folders`` counts.)
    """

    def __init__(
        self,
        *,
        settle: float,
        clock: Callable[[], float] = time.monotonic,
        most_folders: int = 512,
        most_per_parent: int = 128,
    ) -> None:
        self._settle = settle
        self._clock = clock
        self._most_folders = most_folders
        self._most_per_parent = most_per_parent
        self._changed = threading.Condition()
        self._waiting: dict[_Place, _Group] = {}
        self._children: Counter[str] = Counter()
        self._resting: dict[_Place, float] = {}
        self._is_woken = False
        self._is_closed = False

    def put(self, request: Request) -> None:
        """Ask for a look: at once, or for an event ``settle`` after the first of its folder.

        Never blocks; after ``close`` it does nothing.
        """
        now = self._clock()
        self.put_at(request, now + self._settle if request.cause is Cause.EVENT else now)

    def put_at(self, request: Request, due: float) -> None:
        """Ask for a look at a time of the inbox's clock: what still settles, when it will have.

        What waits already is never postponed, only brought forward.
        """
        with self._changed:
            if request.scope and not self._is_closed:
                self._gather(_places_of(request.scope), due, request.cause)

    def take(self, timeout: float | None = None) -> Request | None:
        """Wait for something to be due and return all that is, as one request.

        None after ``timeout`` seconds, after ``wake`` (once) and after ``close`` (for ever).
        """
        give_up = math.inf if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._is_interrupted():
                now = self._clock()
                if ready := [group for group in self._groups() if self._ready_at(group) <= now]:
                    return self._hand_out(ready)
                if now >= give_up:
                    return None
                self._changed.wait(self._seconds_left(now, give_up))
        return None

    def coming(self) -> Scope:
        """The trees that events ask for, but the root's, and that will be handed out within
        ``settle``. What a timer asks for may be most of the disk."""
        with self._changed:
            soon, told = self._clock() + self._settle, {Cause.EVENT}
            groups = [
                group
                for group in self._groups()
                if group.causes == told and self._ready_at(group) <= soon
            ]
        places = (place for group in groups for place in group.places)
        return tree(*(place.path for place in places if place.is_tree and place.path))

    def done(self, request: Request, seconds: float) -> None:
        """Tell how long the scan of a taken request took: its places are not scanned again for ten
        times as long.

        That holds for the same place only. It does not hold for a folder below a tree whose scan
        took long, or one slow scan of the root would delay every new save; nor for a tree because
        of a folder in it, or a few busy folders would delay the timer's scan of the root for ever.
        """
        with self._changed:
            now = self._clock()
            self._resting = {place: end for place, end in self._resting.items() if end > now}
            for place in _places_of(request.scope):
                self._resting[place] = now + min(REST * seconds, LONGEST_REST)
            while len(self._resting) > self._most_folders:
                del self._resting[next(iter(self._resting))]

    def wake(self) -> None:
        """Let the running ``take``, or else the next one, return None at once."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Forget what waits; every ``take`` from now on returns None."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._children.clear()
            self._changed.notify_all()

    @property
    def backlog(self) -> int:
        """The number of folders and trees that wait."""
        return len(self._waiting)

    def _gather(self, places: list[_Place], due: float, cause: Cause) -> None:
        wanted = _Group({self._home(place, due) for place in places}, due, {cause})
        known = {self._waiting[place] for place in wanted.places if place in self._waiting}
        if any(group.includes(wanted) for group in known):
            return
        homes = tuple(wanted.places)
        for group in known:
            wanted.absorb(group)
        self._keep(wanted)
        for place in homes:
            self._thin_out(parent_of(place.path))
        self._changed.notify()

    def _home(self, place: _Place, due: float) -> _Place:
        """The place itself, or the tree above it that will be looked at no later."""
        if place in self._waiting:
            return place
        for path in lineage(place.path):
            group = self._waiting.get(above := _Place(path, is_tree=True))
            if group and self._ready_at(group) <= due:
                return above
        return place

    def _keep(self, group: _Group) -> None:
        for place in group.places:
            if place not in self._waiting:
                self._children[parent_of(place.path)] += 1
            self._waiting[place] = group

    def _drop(self, places: Iterable[_Place]) -> None:
        for place in places:
            del self._waiting[place]
            parent = parent_of(place.path)
            self._children[parent] -= 1
            if not self._children[parent]:
                del self._children[parent]

    def _thin_out(self, parent: str) -> None:
        """Too many places below one parent become the parent, too many in all become the root."""
        if len(self._waiting) > self._most_folders:
            self._lift("")
        elif parent and self._children[parent] > self._most_per_parent:
            self._lift(parent)
            self._thin_out(parent_of(parent))

    def _lift(self, path: str) -> None:
        """Let a tree wait in place of all that waits in it."""
        inside = [place for place in self._waiting if is_within(place.path, path)]
        lifted = _Group(set(), math.inf, set())
        for group in {self._waiting[place] for place in inside}:
            lifted.absorb(group)
        lifted.places = lifted.places.difference(inside) | {_Place(path, is_tree=True)}
        self._drop(inside)
        self._keep(lifted)

    def _groups(self) -> set[_Group]:
        return set(self._waiting.values())

    def _ready_at(self, group: _Group) -> float:
        """When a group may be handed out: once it is due and its pause is over; a person's request
        does not wait for the pause."""
        if Cause.REQUEST in group.causes:
            return group.due
        rested = max(self._resting.get(place, group.due) for place in group.places)
        return min(max(group.due, rested), group.due + LONGEST_REST)

    def _hand_out(self, ready: list[_Group]) -> Request:
        places = [place for group in ready for place in group.places]
        self._drop(places)
        scope = Scope(
            trees=frozenset(place.path for place in places if place.is_tree),
            folders=frozenset(place.path for place in places if not place.is_tree),
        )
        return Request(scope, strongest(cause for group in ready for cause in group.causes))

    def _is_interrupted(self) -> bool:
        was_woken, self._is_woken = self._is_woken, False
        return was_woken or self._is_closed

    def _seconds_left(self, now: float, give_up: float) -> float | None:
        """Until the next group is ready or the taker gives up; None where neither will happen."""
        until = min((self._ready_at(group) for group in self._groups()), default=math.inf)
        seconds = min(until, give_up) - now
        return None if math.isinf(seconds) else min(seconds, threading.TIMEOUT_MAX)


def _places_of(scope: Scope) -> list[_Place]:
    return [_Place(path, is_tree=True) for path in scope.trees] + [
        _Place(path, is_tree=False) for path in scope.folders
    ]

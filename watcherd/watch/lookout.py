"""Notices what changes below the root: by events, and by time where no event would tell of it."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from watcherd import logs
from watcherd.errors import WatchError
from watcherd.mounts import mounts_below, silent_below
from watcherd.scope import ROOT, Cause, Request, Scope, tree
from watcherd.watch import Trouble, Watch
from watcherd.watch.cookie import Cookie
from watcherd.watch.kernel import Names

MOST = 100
"""Places looked at by time that ``status`` names."""


def polled_scope(use: str, silent: Iterable[str], refused: Iterable[str]) -> Scope:
    """Where no event tells of what happens: ``use`` is that of the settings, ``silent`` are places
    on file systems without events, ``refused`` the folders without a watch."""
    if use == "poll":
        return ROOT
    return tree(*refused, *(silent if use == "auto" else ()))


@dataclass
class Lookout:
    """The watch of one root, from ``start`` to ``stop``, with timed looks at what it misses.

    ``put`` takes the requests, in any thread; ``wake`` has the worker call ``look`` soon, which it
    does every few seconds anyway. ``use`` and ``poll`` (seconds) are the settings'.
    """

    root: Path
    put: Callable[[Request], None]
    wake: Callable[[], None]
    names: Names
    use: str
    poll: float
    polled: Scope = field(default_factory=Scope)
    """What is looked at by time."""
    scanned: int = 0
    """Folders that the last look at the whole root found."""
    _watch: Watch | None = None
    _cookie: Cookie | None = None
    _why_not: str = ""
    """Why there is no watch at all."""
    _silent: dict[str, str] = field(default_factory=dict)
    _mounts: frozenset[str] = frozenset()
    _poll_at: float = 0.0
    _told: frozenset[str] = frozenset()
    """The kinds of reasons that were told for looking by time."""
    _is_lost: bool = False

    def start(self) -> None:
        """Watch; returns when every folder is that can be.

        Raises WatchError where events were demanded and none can be had.
        """
        self._mounts = mounts_below(str(self.root))
        self._silent = silent_below(str(self.root))
        if self.use != "poll":
            self._start_watch()
        self._poll_at = time.monotonic() + self.poll
        self._weigh()
        logs.get().info(logs.WATCH_STARTED, **self._figures())
        self._tell()

    def stop(self) -> None:
        """End the threads of the watch."""
        if self._watch:
            self._watch.stop()

    def look(self) -> bool:
        """See to what is due; false where the watch is lost, and a new one must be made."""
        now = time.monotonic()
        self._see_mounts()
        if now >= self._poll_at:
            self._poll_at = now + self.poll
            self._poll()
        self._tell()
        if self._watch and not self._is_lost:
            self._see_watch(self._watch, now)
        return not self._is_lost

    def heal(self) -> None:
        """Watch what could not be watched before: a limit was raised, a permission was given."""
        if self._watch:
            self._watch.heal()
        elif self.use == "auto":
            self._start_watch()
            if self._watch:
                self.put(Request(ROOT, Cause.EVENT))
        self._weigh()

    def describe(self) -> dict[str, object]:
        """What ``status`` shows of it."""
        watched, folders, overflows = self._counts()
        return {
            "coverage": {"watched": watched, "folders": folders, "overflows": overflows},
            "polled": sorted(self.polled.trees)[:MOST],
        }

    @property
    def caught_up_at(self) -> float | None:
        """When all that had happened was last known to be put, in seconds since the epoch."""
        return self._cookie.came_at if self._cookie else None

    # -- events -----------------------------------------------------------------------------------

    def _start_watch(self) -> None:
        watch = Watch(
            self.root,
            self._put,
            **self.names._asdict(),
            on_trouble=self._on_trouble,
            on_cookie=lambda: cookie.come(),
        )
        cookie = Cookie(self.root, watch.hear_cookies)
        self._watch, self._cookie = watch, cookie
        try:
            watch.start()
            self._why_not = ""
        except WatchError as error:
            self._watch = self._cookie = None
            if self.use == "events":
                raise
            self._why_not = error.message

    def _put(self, request: Request) -> None:
        if self._cookie:
            self._cookie.hurry()
        self.put(request)

    def _on_trouble(self, trouble: Trouble) -> None:
        """In a thread of the watch: the worker sees to it."""
        if trouble is Trouble.OVERFLOW:
            if self._cookie:
                self._cookie.drop()
            reason = "events came faster than they could be read"
            logs.get().warning(logs.WATCH_OVERFLOW, **{**self._figures(), "reason": reason})
        self.wake()

    def _see_watch(self, watch: Watch, now: float) -> None:
        if not watch.is_healthy():
            coverage = watch.coverage()
            self._lose(coverage.reason or "another folder has taken the place of the models root")
        elif self._cookie and not self._cookie.look(now, is_busy=watch.is_busy()):
            self._lose("a test file of watcherd's own caused no event")

    def _lose(self, reason: str) -> None:
        self._is_lost = True
        logs.get().warning(logs.WATCH_LOST, **{**self._figures(), "reason": reason})

    # -- time -------------------------------------------------------------------------------------

    def _see_mounts(self) -> None:
        """A file system that comes or goes brings folders along, without an event."""
        before, self._mounts = self._mounts, mounts_below(str(self.root))
        if before == self._mounts:
            return
        self._silent = silent_below(str(self.root))
        if self._watch:
            with suppress(OSError):  # the root itself went: told by whoever looks at it next
                self._watch.watch_anew()
        self._weigh()
        self.put(Request(tree(*(before ^ self._mounts)), Cause.EVENT))

    def _poll(self) -> None:
        self.heal()
        if self.polled:
            self.put(Request(self.polled, Cause.TIMER))

    def _weigh(self) -> None:
        use = self.use if self._watch else "poll"
        self.polled = polled_scope(use, self._silent, self._watch.refused() if self._watch else ())

    def _tell(self) -> None:
        """Say that folders must be looked at by time when that begins, and when it ends."""
        reasons = dict(self._reasons())
        if not reasons.keys() <= self._told:
            self._weigh()
            logs.get().warning(logs.WATCH_DEGRADED, **self._figures())
        elif self._told and not reasons:
            logs.get().info(logs.WATCH_HEALED, **self._figures())
        self._told = frozenset(reasons)

    def _reasons(self) -> Iterator[tuple[str, str]]:
        """Kind -> why some folders have to do without events, though nobody chose that."""
        coverage = self._watch.coverage() if self._watch else None
        if self._why_not:
            yield "none", self._why_not
        if coverage and coverage.refused:
            yield "limit", "the kernel allows no more watches"
        if coverage and coverage.unreadable:
            yield "permission", f"{coverage.unreadable} may not be read"
        if self.use == "auto":
            for place, kind in sorted(self._silent.items()):
                yield (
                    f"silent {place}",
                    f"{kind} at {place or 'the root'} reports nothing that other machines do",
                )

    def _counts(self) -> tuple[int, int, int]:
        """Folders watched, folders in all, overflows."""
        if self._watch is None:
            return 0, self.scanned, 0
        coverage = self._watch.coverage()
        return coverage.watched, coverage.folders, coverage.overflows

    def _figures(self) -> dict[str, object]:
        watched, folders, _ = self._counts()
        return {
            "watched": watched,
            "folders": folders,
            "polled": len(self.polled.trees),
            "reason": "; ".join(why for _, why in self._reasons()),
        }

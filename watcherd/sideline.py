"""Verification beside the worker's own work: TensorFlow opens what is new, a tenth of the time.

The worker asks and takes in answers, and waits for none: a thread of its own talks to TensorFlow's
process, and wakes the worker when it has an answer.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from watcherd import journal, logs
from watcherd.config import Settings
from watcherd.errors import RootSuspended, WatcherdError
from watcherd.proof import Proof, Subject
from watcherd.reconciler import Reconciler
from watcherd.registry import By, iso
from watcherd.registry.verifications import NEWEST, next_to_verify
from watcherd.scope import Cause
from watcherd.verify import Opener
from watcherd.verifying import choose, conclude, judge
from watcherd.wiring import opener_of

REST = 9
"""The process pauses this many times as long as it worked, so it works a tenth of the time."""

LEAST = 0.01
"""Seconds to pause at least after a model that cannot be opened now: there may be a million of
them."""

IDLE = 60.0
"""Seconds without a question after which the process is let go: it takes 500 MB."""

BACKOFF = 300.0
"""Seconds until TensorFlow is tried again where it could not be asked at all."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question under way."""

    subject: Subject
    answer: Future[Proof | None]
    since: float
    """Monotonic seconds."""


class Sideline:
    """One session's verification; the worker's, but for the thread that waits for TensorFlow.

    Each model that is not verified is tried once: what cannot be said of it now may be said by the
    next session, with other settings. ``wake`` is called, in that thread, when there is an answer.
    """

    def __init__(self, reconciler: Reconciler, opener: Opener, wake: Callable[[], None]) -> None:
        self._reconciler = reconciler
        self._opener = opener
        self._wake = wake
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="verification")
        self._by = By(reconciler.actor, Cause.TIMER)
        self._began = iso(time.time_ns())
        self._asked: _Asked | None = None
        self._last = NEWEST
        """Whose turn it was last: what was changing then is passed over until there is news."""
        self._has_more = True
        self._due = 0.0
        """When to ask next, monotonic."""
        self._idle_since = 0.0
        self._failure = ""

    def note_news(self) -> None:
        """Models changed: there may be something to verify."""
        self._has_more = True
        self._last = NEWEST

    def patience(self, most: float) -> float:
        """Seconds, ``most`` of them, that the worker may wait for other things until its turn."""
        if self._asked or not self._has_more:
            return most
        return min(max(self._due - time.monotonic(), 0.0), most)

    def turn(self) -> None:
        """Take in an answer that is there, or ask the next question if it is time."""
        try:
            if self._asked is not None:
                if self._asked.answer.done():
                    self._take_in(self._asked)
            elif time.monotonic() >= self._due:
                self._ask_next()
        except RootSuspended:
            self._last = NEWEST
            raise
        except WatcherdError as error:
            # Nothing was said of the one whose turn it was.
            self._last = NEWEST
            self._note_failure(error.message, hint=error.hint)
        except Exception as error:  # noqa: BLE001  no verification is worth the daemon's end
            self._note_failure(f"{type(error).__name__}: {error}", exc_info=True)

    def close(self) -> None:
        """Break off; what was not answered is asked by the next session."""
        self._opener.stop()
        self._thread.shutdown()
        self._opener.end()

    def _take_in(self, asked: _Asked) -> None:
        self._asked = None
        self._idle_since = time.monotonic()
        self._rest(asked.since)
        proof = asked.answer.result()
        self._note_success()
        registry, root = self._reconciler.registry, self._reconciler.root
        if proof is not None and conclude(registry, root, asked.subject, proof, self._by):
            journal.tell_proof(asked.subject, proof, registry, self._by.cause)

    def _ask_next(self) -> None:
        began = time.monotonic()
        subject = self._choose_next() if self._has_more else None
        if subject is None:
            self._rest(began)
            if began - self._idle_since > IDLE:
                self._opener.end()
            return
        answer = self._thread.submit(judge, self._opener, self._reconciler.root, subject)
        self._asked = _Asked(subject, answer, time.monotonic())
        answer.add_done_callback(lambda _: self._wake())

    def _choose_next(self) -> Subject | None:
        """The next model down from the newest; None where it cannot be opened now."""
        registry, root = self._reconciler.registry, self._reconciler.root
        place = next_to_verify(registry, root.root_id, self._began, self._last)
        self._has_more = place is not None
        if place is None:
            return None
        self._last = place
        return choose(registry, root, place.model_id)

    def _rest(self, since: float) -> None:
        """By what was worked ``since`` then, in monotonic seconds."""
        now = time.monotonic()
        self._due = now + max(REST * (now - since), LEAST)

    def _note_failure(self, error: str, **more: object) -> None:
        self._due = time.monotonic() + BACKOFF
        if error != self._failure:
            logs.get().error(logs.FAILURE_RAISED, error=error, **more)
        self._failure = error

    def _note_success(self) -> None:
        if self._failure:
            self._failure = ""
            logs.get().info(logs.FAILURE_ENDED)


@contextmanager
def open_sideline(
    settings: Settings, reconciler: Reconciler, wake: Callable[[], None]
) -> Iterator[Sideline | None]:
    """Verification as these settings want it: None where they want none."""
    if settings.verify.when == "off":
        yield None
        return
    sideline = Sideline(reconciler, opener_of(settings), wake)
    try:
        yield sideline
    finally:
        sideline.close()

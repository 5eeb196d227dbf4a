"""Signs of life: a thread that lasts tells that it does, and another can tell whether it still did.

A thread takes a pulse, and whatever runs in it may beat, as deep down as it likes: in a thread
without a pulse, as in a command, that does nothing.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class Pulse:
    """Of one thread, which alone beats it."""

    name: str
    is_busy: Callable[[], bool]
    """Whether it has something to do: one that only waits for work is well without beating."""
    beats: int = 0
    allowed: float = 0.0
    """Seconds of silence that it announced, beyond what anyone is allowed."""
    at: float = field(default_factory=time.time)
    """When it last beat, in seconds since the epoch."""


_pulses: dict[int, Pulse] = {}
"""Thread -> its pulse. Whole items come and go, which needs no lock."""


@contextmanager
def taken(name: str, is_busy: Callable[[], bool] = lambda: True) -> Iterator[Pulse]:
    """Let this thread have a pulse while it is in here."""
    thread = threading.get_ident()
    pulse = _pulses[thread] = Pulse(name, is_busy)
    try:
        yield pulse
    finally:
        del _pulses[thread]


def beat(allowed: float = 0.0) -> None:
    """This thread gets on; the next beat may take ``allowed`` seconds longer than usual."""
    pulse = _pulses.get(threading.get_ident())
    if pulse is not None:
        pulse.beats += 1
        pulse.allowed = allowed
        pulse.at = time.time()


def every() -> tuple[Pulse, ...]:
    """The pulses of all threads that have one."""
    return tuple(_pulses.values())


@dataclass
class Listener:
    """Tells which thread has been silent for too long, by looks at all of them.

    Time counts only between looks, and no more than ``step`` seconds each: while the process was
    stopped, or the machine asleep, nobody could beat.
    """

    limit: float
    """Seconds of silence that are allowed to anyone."""
    step: float
    _heard: dict[Pulse, tuple[int, float]] = field(default_factory=dict)
    """Pulse -> its beats when it was last looked at, and the seconds of silence since the last."""
    _looked_at: float | None = None

    def silent(self, pulses: tuple[Pulse, ...], now: float) -> tuple[Pulse, ...]:
        """Those that should have beaten by now; ``now`` is monotonic, in seconds."""
        passed = min(now - (self._looked_at if self._looked_at is not None else now), self.step)
        self._looked_at = now
        self._heard = {one: (one.beats, self._silence_of(one, passed)) for one in pulses}
        return tuple(
            one for one, (_, silence) in self._heard.items() if silence > self.limit + one.allowed
        )

    def _silence_of(self, one: Pulse, passed: float) -> float:
        beats, silence = self._heard.get(one, (-1, 0.0))
        return silence + passed if beats == one.beats and one.is_busy() else 0.0

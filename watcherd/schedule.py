"""The timer: APScheduler puts requests where the worker finds them."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from watcherd.config import Cron, Timing
from watcherd.registry import iso

LATE = 60.0
"""Seconds by which a job may be late; also, by which the clock may be set without our noticing."""

Wish = Callable[[], None]
"""What a job does, in a thread of the scheduler: it must not block."""


class Schedule:
    """Jobs by name, each with its timing, from ``start`` to ``stop``."""

    def __init__(self, wishes: Mapping[str, tuple[Timing, Wish]]) -> None:
        self._wishes = wishes
        self._jobs: dict[str, Job] = {}
        self._scheduler = BackgroundScheduler()
        self._thread: threading.Thread | None = None
        self._clock_ahead = 0.0

    def start(self) -> None:
        """Start the timer."""
        self._scheduler = BackgroundScheduler()
        self._jobs = {
            name: self._scheduler.add_job(
                wish, _trigger(timing), coalesce=True, misfire_grace_time=None
            )
            for name, (timing, wish) in self._wishes.items()
            if timing is not None
        }
        self._scheduler.start()
        self._thread = self._scheduler._thread
        self._clock_ahead = _clock_ahead()

    def stop(self) -> None:
        """Put no more requests; a job that runs is not waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def due(self) -> dict[str, str | None]:
        """Job -> when it runs next, ISO 8601 in UTC; None where it never does."""
        times = {name: job.next_run_time for name, job in self._jobs.items()}
        return {name: _iso(times.get(name)) for name in self._wishes}

    def trouble(self) -> str:
        """Why its jobs do not come when they should; empty where they do.

        After a clock that was set back by a day, each would come a day late.
        """
        if not (self._thread and self._thread.is_alive()):
            return "the scheduler's thread has ended"
        if abs(_clock_ahead() - self._clock_ahead) > LATE:
            return "the clock was set"
        if any(_is_late(job) for job in self._jobs.values()):
            return "the scheduler's thread hangs"
        return ""


def _clock_ahead() -> float:
    """Seconds of the wall clock beyond the time since start-up, sleep included."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _is_late(job: Job) -> bool:
    due: datetime | None = job.next_run_time
    return due is not None and time.time() - due.timestamp() > LATE


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso(int(moment.timestamp() * 1e9))


def _trigger(timing: Timing) -> BaseTrigger:
    if isinstance(timing, Cron):
        return CronTrigger.from_crontab(timing.line)
    assert timing is not None  # "off" makes no job
    return IntervalTrigger(seconds=timing.seconds)

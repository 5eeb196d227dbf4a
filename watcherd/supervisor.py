"""The thread that sees to it that the others live, and that an end is an end.

It waits for signals, too: where the main thread hangs in a system call, the kernel would leave them
waiting with it.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping

from watcherd import logs, pulse
from watcherd.errors import Exit
from watcherd.notify import notify

LOOK = 1.0
"""Seconds between two looks, at most."""

STUCK = 60.0
"""Seconds without a sign of life after which a thread hangs. systemd's WatchdogSec, where it is
shorter, counts instead."""

ENDING = 3.0
"""Seconds that an orderly end may take, from the look that found it asked for: with that look and
the last line of the log less than the five that are promised."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Supervisor(threading.Thread):
    """From ``start`` to ``stop``; made in the main thread, whose signals it passes on.

    While every thread beats it feeds systemd's watchdog (sd_notify(3), WATCHDOG=1). One that hangs
    can't be mended from outside: the process ends with 1 and is started anew.
    """

    def __init__(self, is_ending: Callable[[], bool]) -> None:
        super().__init__(name="supervisor", daemon=True)
        self._is_ending = is_ending
        self._main = threading.get_ident()
        self._watchdog = watchdog_seconds(os.environ, os.getpid())
        limit = min(STUCK, self._watchdog or STUCK)
        self._look = min(LOOK, limit / 4)
        self._listener = pulse.Listener(limit, step=2 * self._look)
        self._fed_at = -limit
        self._end_by: float | None = None
        self._is_stopped = False

    def run(self) -> None:
        """Look after the others until stopped."""
        # Blocked in this thread alone: the main one gets them as ever, unless it hangs.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while not self._is_stopped:
            # Asked, not waited in: stopped there, and continued when its time is up, Python's
            # sigtimedwait returns a signal that nobody sent.
            time.sleep(self._patience())
            found = signal.sigtimedwait(_SIGNALS, 0)
            if self._is_stopped:
                return
            if found is not None:
                self._pass_on(found.si_signo)
            self._look_at_end()
            self._look_at_pulses()

    def stop(self) -> None:
        """Look no more: the process is about to end by itself."""
        self._is_stopped = True

    def _patience(self) -> float:
        """Seconds until the next look."""
        if self._end_by is None:
            return self._look
        return min(self._look, max(self._end_by - time.monotonic(), 0.0) + 0.01)

    def _pass_on(self, number: int) -> None:
        signal.pthread_kill(self._main, number)
        if number != signal.SIGHUP:
            self._expect_end()

    def _expect_end(self) -> None:
        if self._end_by is None:
            self._end_by = time.monotonic() + ENDING

    def _look_at_end(self) -> None:
        if self._is_ending():
            self._expect_end()
        if self._end_by is not None and time.monotonic() > self._end_by:
            _end_at_once(
                Exit.DONE,
                f"watcherd was told to end and could not within {ENDING} s: something hangs",
                "it is ended at once; nothing is lost, the next start looks at everything",
            )

    def _look_at_pulses(self) -> None:
        now = time.monotonic()
        silent = self._listener.silent(pulse.every(), now)
        if silent and self._end_by is None:
            names = ", ".join(one.name for one in silent)
            _end_at_once(
                Exit.FAILED,
                f"no sign of life for {self._listener.limit:g} s: {names}",
                "is a disk hanging? watcherd ends, so that it can be started anew",
            )
        if self._watchdog and not silent and now - self._fed_at >= self._watchdog / 4:
            notify(WATCHDOG=1)
            self._fed_at = now


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How often systemd wants to hear of process ``pid``; None where it does not.

    sd_watchdog_enabled(3): WATCHDOG_USEC, unless WATCHDOG_PID names another process.
    """
    wanted, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or int(wanted) == 0 or (meant and meant != str(pid)):
        return None
    return int(wanted) / 1e6


def _end_at_once(status: Exit, error: str, hint: str) -> None:
    """End the process and its children, whatever any thread is doing."""
    # What hangs may hold the lock of the log's stream.
    said = threading.Thread(
        target=lambda: logs.get().error(logs.FAILURE_RAISED, error=error, hint=hint), daemon=True
    )
    said.start()
    said.join(LOOK / 2)
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(status)

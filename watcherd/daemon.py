"""The daemon: the process around its sessions. Signals, suspension, supervision, an orderly end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from watcherd import __version__, lock, logs, status
from watcherd.config import Settings
from watcherd.errors import (
    Exit,
    Refused,
    RegistryBusy,
    RegistryError,
    RootSuspended,
    SettingsError,
    WatcherdError,
)
from watcherd.notify import notify
from watcherd.registry import iso, path_of
from watcherd.root import HOUSE
from watcherd.session import CHECK, FIRST_BACKOFF, LONGEST_BACKOFF, Session, open_session
from watcherd.wiring import DAEMON, reconciling


class _Interrupted(BaseException):
    """Raised by a signal in the middle of a cycle: what it did not commit the next one does."""


@dataclass
class Daemon:
    """Runs until SIGTERM or SIGINT; SIGHUP reads the settings again."""

    settings: Settings
    reload: Callable[[], Settings]
    """Reads the settings again; raises SettingsError."""
    _ending: threading.Event = field(default_factory=threading.Event)
    _hangup: threading.Event = field(default_factory=threading.Event)
    _session: Session | None = None
    _is_ready: bool = False
    _suspended: str = ""
    _signal: str = ""
    _uuid: str | None = None
    """Of the root that we work upon: an empty folder in its place is not taken for it."""
    _started_at: float = field(default_factory=time.time)

    def run(self) -> Exit:
        """Work until told to end. Raises Refused where another daemon runs."""
        logs.get().info(
            logs.DAEMON_STARTED,
            version=__version__,
            pid=os.getpid(),
            root=str(self.settings.models.root),
            registry=self.settings.registry.url,
        )
        with self._signals():
            try:
                self._live()
            except _Interrupted:
                pass
            finally:
                notify(STOPPING=1)
        logs.get().info(logs.DAEMON_STOPPING, signal=self._signal)
        logs.get().info(logs.DAEMON_STOPPED, seconds=round(time.time() - self._started_at, 1))
        return Exit.DONE

    def _live(self) -> None:
        """Session after session."""
        backoff = FIRST_BACKOFF
        while not self._ending.is_set():
            try:
                self._work()
                backoff = FIRST_BACKOFF
            except RootSuspended as error:
                self._suspend(error)
                self._ending.wait(CHECK)
            except WatcherdError as error:
                if self._is_hopeless(error):
                    raise
                logs.get().error(logs.FAILURE_RAISED, error=error.message, hint=error.hint)
                self._ending.wait(backoff)
                backoff = min(2 * backoff, LONGEST_BACKOFF)
            if self._hangup.is_set():
                self._reload()

    def _work(self) -> None:
        """One session: ends with the root, with its watch, or when told to."""
        with (
            reconciling(self.settings, DAEMON, known_uuid=self._uuid) as reconciler,
            self._alone(),
            open_session(self.settings, reconciler) as session,
        ):
            self._session = session
            try:
                reconciler.check_root()
                self._resume()
                session.work(self._should_end, self._tell)
            finally:
                self._session = None
                self._uuid = reconciler.root.uuid

    def _is_hopeless(self, error: WatcherdError) -> bool:
        """Whether to end and let a person see to it: another daemon, a damaged registry at start.

        What breaks while we run may heal, and a registry that is only locked will.
        """
        at_start = isinstance(error, RegistryError) and not isinstance(error, RegistryBusy)
        return isinstance(error, Refused) or (at_start and not self._is_ready)

    def _should_end(self) -> bool:
        return self._ending.is_set() or self._hangup.is_set()

    def _suspend(self, error: RootSuspended) -> None:
        """Say once that the root is gone; nothing is touched until it is back."""
        if error.message != self._suspended:
            logs.get().error(logs.ROOT_SUSPENDED, error=error.message, hint=error.hint)
        self._suspended = error.message
        # Waiting for the root is what the daemon does then: the service has started.
        notify(READY=1, WATCHDOG=1, STATUS=f"suspended: {error.message}")
        self._write_status()

    def _resume(self) -> None:
        if self._suspended:
            logs.get().info(logs.ROOT_RESUMED, root=str(self.settings.models.root))
            self._suspended = ""

    def _tell(self) -> None:
        """There is news: let systemd and ``status`` know."""
        session = self._session
        assert session is not None  # a session's own call
        about = session.describe()
        coverage = about["coverage"]
        notify(
            READY=1,
            STATUS=f"{coverage['watched']}/{coverage['folders']} folders watched, "
            f"{about['backlog']} waiting",
        )
        if not self._is_ready:
            self._is_ready = True
            logs.get().info(logs.DAEMON_READY, folders=coverage["watched"])
        self._write_status(about)

    def _reload(self) -> None:
        """Take new settings, or keep the old ones and say what is wrong with the new."""
        self._hangup.clear()
        try:
            self.settings = self.reload()
        except SettingsError as error:
            logs.get().error(logs.FAILURE_RAISED, error=error.message, hint=error.hint)
            return
        logs.configure(level=self.settings.log.level, format=self.settings.log.format)
        logs.get().info(logs.DAEMON_RELOADED, root=str(self.settings.models.root))

    # -- the process ------------------------------------------------------------------------------

    @property
    def _home(self) -> Path:
        return home_of(self.settings)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The lock that a second daemon is refused by, and the status file while it is held."""
        with lock.hold(self._home / status.LOCK):
            try:
                yield
            finally:
                (self._home / status.NAME).unlink(missing_ok=True)

    def _write_status(self, about: dict[str, Any] | None = None) -> None:
        said = {
            "pid": os.getpid(),
            "version": __version__,
            "started_at": iso(int(self._started_at * 1e9)),
            "suspended": self._suspended or None,
            **(about or {}),
        }
        status.write(self._home / status.NAME, said)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(number: int, frame: FrameType | None) -> None:
            # No log line in here: the main thread may hold the lock of its stream.
            if not self._ending.is_set():
                self._ending.set()
                self._signal = signal.Signals(number).name
                raise _Interrupted

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        # A terminal that is closed hangs up, too: then there is nobody to read new settings for.
        hangup = end if sys.stdout.isatty() else lambda *_: self._hangup.set()
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hangup)
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)


def home_of(settings: Settings) -> Path:
    """Where lock and status file are: beside the registry, or in the root's own folder."""
    path = path_of(settings.registry.url)
    return path.parent if path is not None else settings.models.root / HOUSE

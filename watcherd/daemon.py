"""The daemon: the process around its sessions. Signals, suspension, supervision, an orderly end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from watcherd import __version__, journal, lock, logs, pulse, status
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
from watcherd.footing import CHECK
from watcherd.notify import notify
from watcherd.registry import Mode, Registry, iso, path_of
from watcherd.registry.following import adopters
from watcherd.root import HOUSE, open_root, read_marker
from watcherd.session import FIRST_BACKOFF, LONGEST_BACKOFF, Session, open_session
from watcherd.supervisor import Supervisor
from watcherd.wiring import DAEMON, open_registry, reconciling

NICE = 10
"""getpriority(2): a tenth of the weight of a trainer's process. The disk's scheduler goes by it,
too (ioprio_set(2)); idle altogether, as its children are, the daemon could starve with the
registry's write lock in its hand, and keep persons waiting."""


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
    _lock: lock.Held | None = None
    _is_ready: bool = False
    _suspended: str = ""
    _failed: str = ""
    """What the last session ended with, until one gets under way again."""
    _tries: int = 0
    """Sessions in a row that ended by themselves, and soon."""
    _signal: str = ""
    _uuid: str | None = None
    """Of the root that we work upon: an empty folder in its place is not taken for it."""
    _adopter: str = ""
    """Who said that another root is the one that we work upon, until that is told."""
    _models: int = 0
    """On disk, when they were last counted."""
    _count_due: float = 0.0
    _started_at: float = field(default_factory=time.time)
    _has_said_so: bool = False

    def run(self) -> Exit:
        """Work until told to end. Raises Refused where another daemon runs."""
        _give_way()
        with self._supervised(), self._posted():
            with self._signals(), suppress(_Interrupted):
                self._live()
            notify(STOPPING=1)
            logs.get().info(logs.DAEMON_STOPPING, signal=self._signal)
            logs.get().info(logs.DAEMON_STOPPED, seconds=round(time.time() - self._started_at, 1))
        return Exit.DONE

    def _say_started(self) -> None:
        """Once, when no other daemon stands in the way any more: one that is refused only says
        why, on standard error."""
        if not self._has_said_so:
            self._has_said_so = True
            logs.get().info(
                logs.DAEMON_STARTED,
                version=__version__,
                pid=os.getpid(),
                root=str(self.settings.models.root),
                registry=self.settings.registry.url,
            )

    def _live(self) -> None:
        """Session after session."""
        while not self._ending.is_set():
            began = time.monotonic()
            pause = self._work_or_say()
            if time.monotonic() - began > LONGEST_BACKOFF:
                self._tries = 0
            self._rest(pause)
            if self._hangup.is_set():
                self._reload()

    def _work_or_say(self) -> float:
        """One session; returns the seconds until the next one is due."""
        try:
            self._work()
        except RootSuspended as error:
            self._suspend(error)
            return CHECK
        except WatcherdError as error:
            if self._is_hopeless(error):
                raise
            self._fail(error)
        if self._should_end():
            return 0.0
        self._tries += 1
        # No float is large enough for the tries of a year.
        return min(FIRST_BACKOFF * 2.0 ** min(self._tries - 1, 20), LONGEST_BACKOFF)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._should_end() and (left := until - time.monotonic()) > 0:
            pulse.beat()
            self._ending.wait(min(left, CHECK))

    def _await_root(self) -> None:
        """Before the registry is opened: a root may stay away for days, and an open one writes.

        Where a person adopted the one that is there now, the daemon goes on with that.
        """
        root = self.settings.models.root
        with open_root(root, None) as root_fd:
            marker = read_marker(root_fd)
        if marker and self._uuid not in (None, marker.uuid):
            self._adopter = self._find_adopter(marker.uuid)
            if self._adopter:
                self._uuid = marker.uuid
        with open_root(root, self._uuid):
            pass

    def _find_adopter(self, uuid: str) -> str:
        """Who said that the root with this marker is ours; empty if nobody did.

        The registry is only read: one below a root that is not ours belongs to others.
        """
        with suppress(RegistryError), open_registry(self.settings, Mode.READ) as registry:
            return next(reversed(adopters(registry, uuid)), "")
        return ""

    def _work(self) -> None:
        """One session: ends with the root, with its watch, or when told to."""
        self._await_root()
        with (
            reconciling(self.settings, DAEMON, known_uuid=self._uuid) as reconciler,
            self._alone(),
            open_session(self.settings, reconciler) as session,
        ):
            self._session = session
            self._say_started()
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
        """Asked every few seconds, whatever happens."""
        if self._lock:
            self._lock.renew(time.monotonic())
        return self._ending.is_set() or self._hangup.is_set()

    def _fail(self, error: WatcherdError) -> None:
        """Say once why no session gets under way."""
        self._say_started()
        if error.message != self._failed:
            logs.get().error(logs.FAILURE_RAISED, error=error.message, hint=error.hint)
        self._failed = error.message

    def _suspend(self, error: RootSuspended) -> None:
        """Say once that the root is gone; nothing is touched until it is back."""
        self._say_started()
        if error.message != self._suspended:
            logs.get().error(logs.ROOT_SUSPENDED, error=error.message, hint=error.hint)
        self._suspended = error.message
        # Waiting for the root is what the daemon does then: the service has started.
        notify(READY=1, STATUS=f"suspended: {error.message}")
        self._write_status()

    def _resume(self) -> None:
        root = str(self.settings.models.root)
        if self._adopter:
            journal.tell_adoption(root, self._adopter)
            self._adopter = ""
        if self._suspended:
            logs.get().info(logs.ROOT_RESUMED, root=root)
            self._suspended = ""

    def _tell(self) -> None:
        """There is news: let systemd and ``status`` know."""
        session = self._session
        assert session is not None  # a session's own call
        about = session.describe()
        coverage = about["coverage"]
        self._write_status(about)  # first: who is told that we are ready may ask at once
        notify(
            READY=1,
            STATUS=f"{self._count_models(session.reconciler.registry)} models, "
            f"{coverage['watched']}/{coverage['folders']} folders watched, "
            f"{about['backlog']} waiting",
        )
        if not self._is_ready:
            self._is_ready = True
            logs.get().info(logs.DAEMON_READY, folders=coverage["watched"])
        if self._failed:
            self._failed = ""
            logs.get().info(logs.FAILURE_ENDED)

    def _count_models(self, registry: Registry) -> int:
        """Counted anew when ten times the time has passed that it took: it goes over every row."""
        if (started := time.monotonic()) >= self._count_due:
            self._models = registry.count_on_disk()
            self._count_due = started + 11 * (time.monotonic() - started)
        return self._models

    def _reload(self) -> None:
        """Take new settings, or keep the old ones and say what is wrong with the new."""
        self._hangup.clear()
        try:
            settings = self.reload()
        except SettingsError as error:
            logs.get().error(logs.FAILURE_RAISED, error=error.message, hint=error.hint)
            return
        if settings.models.root != self.settings.models.root:
            self._uuid = None
        self.settings = settings
        logs.configure(level=self.settings.log.level, format=self.settings.log.format)
        logs.get().info(logs.DAEMON_RELOADED, root=str(self.settings.models.root))

    # -- the process ------------------------------------------------------------------------------

    @property
    def _home(self) -> Path:
        return home_of(self.settings)

    @property
    def _post(self) -> Path:
        """Where the status file is."""
        return status.runtime_folder() or self._home

    @contextmanager
    def _supervised(self) -> Iterator[None]:
        supervisor = Supervisor(self._ending.is_set)
        with pulse.taken("worker"):
            supervisor.start()
            try:
                yield
            finally:
                supervisor.stop()

    @contextmanager
    def _posted(self) -> Iterator[None]:
        """The status file, and where systemd gave us a folder a lock beside it: so that a daemon
        that waits for its root, and with it for its registry, is known to run."""
        runtime = status.runtime_folder()
        with lock.hold(runtime / status.LOCK) if runtime else nullcontext():
            try:
                yield
            finally:
                self._take_down()

    def _take_down(self) -> None:
        """Remove the status file, unless it is of the daemon that refused us."""
        post = self._post / status.NAME
        with suppress(OSError):  # its folder went with the root
            if (status.read(post) or {}).get("pid") == os.getpid():
                post.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The lock that a second daemon is refused by."""
        self._refuse_elsewhere()
        with lock.hold(self._home / status.LOCK, status=str(self._post)) as self._lock:
            try:
                yield
            finally:
                self._lock = None

    def _refuse_elsewhere(self) -> None:
        """The root's marker names its registry: a daemon with that one runs upon this root, too."""
        with open_root(self.settings.models.root, None) as root_fd:
            marker = read_marker(root_fd)
        path = path_of(marker.registry) if marker else None
        if path and path.parent != self._home and lock.is_held(path.parent / status.LOCK):
            raise Refused(
                f"another watcherd runs here: {lock.holder(path.parent / status.LOCK)}",
                hint=f"it keeps the registry {marker.registry if marker else ''} of this root",
            )

    def _write_status(self, about: dict[str, Any] | None = None) -> None:
        said = {
            "pid": os.getpid(),
            "version": __version__,
            "started_at": iso(int(self._started_at * 1e9)),
            "root": str(self.settings.models.root),
            "suspended": self._suspended or None,
            **(about or {}),
        }
        status.write(self._post / status.NAME, said)

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


def ask(settings: Settings) -> dict[str, Any] | None:
    """What the daemon of these settings says of itself, wherever it left that; None where none
    runs. Empty where one runs and could not leave it."""
    home = home_of(settings)
    named = lock.read(home / status.LOCK).get("status")
    for place in (*([Path(named)] if isinstance(named, str) else []), *status.places(home)):
        said = status.read(place / status.NAME)
        fits = said is not None and said.get("root") == str(settings.models.root)
        if fits and (lock.is_held(place / status.LOCK) or lock.is_held(home / status.LOCK)):
            return said
    return {} if lock.is_held(home / status.LOCK) else None


def _give_way() -> None:
    """Let trainers go first: this thread, and those that it starts."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))

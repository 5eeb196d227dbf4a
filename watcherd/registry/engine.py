"""Opening the registry: SQLite in WAL mode, one clear error for each way it can fail.

Writers take the write lock when their transaction begins (BEGIN IMMEDIATE), so that what a
transaction checks cannot change before it commits. ``synchronous=FULL``: history and marks cannot
be rebuilt from disk.
"""

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.pool import QueuePool

from watcherd.errors import (
    Fault,
    NoRegistry,
    RegistryBusy,
    RegistryError,
    RegistryFull,
    SettingsError,
)
from watcherd.registry import schema
from watcherd.registry.copies import copy_to

BUSY_SECONDS = 5.0
"""How long a statement waits for another writer before it says so."""

BUSY_PAUSE = 0.01
"""Seconds between two tries of what SQLite does not wait for itself."""

READS = "watcherd_reads"
"""Execution option of a connection that only reads: it needs no write lock."""

SQLITE_MAGIC = b"SQLite format 3\x00"


class Mode(Enum):
    """What a command may do with a registry."""

    READ = "read"
    WRITE = "write"
    CREATE = "create"
    """Create or migrate it, too: ``run`` and ``reconcile`` only."""


def path_of(url: str) -> Path | None:
    """The file of an SQLite registry; None for other databases. Raises SettingsError."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        fault = Fault("registry.url", url, "a database URL such as sqlite:////var/lib/registry.db")
        raise SettingsError([fault], "registry") from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    # Five slashes come of an absolute path in a pattern; two would be a host's name to SQLite.
    return Path(re.sub("^//+", "/", parsed.database))


def open_engine(url: str, mode: Mode) -> Engine:
    """An engine whose registry exists, is readable and has the present schema.

    Raises RegistryError with what to do next.
    """
    path = path_of(url)
    if path is not None:
        _check_file(path, mode)
    engine = _sqlite(path, mode) if path is not None else _other(url)
    try:
        with translated(url):
            _bring_up(engine, url, path, mode)
    except BaseException:
        engine.dispose()
        raise
    return engine


def close_engine(engine: Engine, url: str, mode: Mode) -> None:
    """Close every connection, and leave a file that a user who may only read can open.

    A WAL database needs its ``-shm`` file, which the last writer to leave removes; in DELETE mode
    it needs nothing. While others still use it they keep it in WAL mode, which is right too.
    """
    engine.dispose()
    path = path_of(url)
    if path is None or mode is Mode.READ:
        return
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, timeout=0)) as last,
    ):
        last.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the database's errors into ones that say what to do next."""
    try:
        yield
    except IntegrityError:
        raise  # not the database's failure but another writer's haste; apply knows what to do
    except DBAPIError as error:
        raise _translate(url, str(error.orig)) from error
    except sqlite3.Error as error:
        raise _translate(url, str(error)) from error


def _check_file(path: Path, mode: Mode) -> None:
    if mode is Mode.CREATE:
        try:
            path.parent.mkdir(mode=0o2775, parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(
                f"the registry's folder {path.parent} cannot be made: {error.strerror}",
                hint="give a registry.url where this user may write",
            ) from None
        _make(path)
    _check_magic(path, mode)


def _make(path: Path) -> None:
    """Make the file as the user's umask says: SQLite itself would leave the group without."""
    with suppress(OSError):  # SQLite tells what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664))


def _check_magic(path: Path, mode: Mode) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(SQLITE_MAGIC))
    except (FileNotFoundError, NotADirectoryError):
        if mode is Mode.CREATE:
            return
        raise NoRegistry(f"there is no registry at {path}", hint=_way_to_one(path)) from None
    except OSError as error:
        raise RegistryError(
            f"the registry {path} cannot be read: {error.strerror}",
            hint="check its owner and permissions",
        ) from None
    if magic and magic != SQLITE_MAGIC:
        raise _corrupt(str(path), "it is not an SQLite database")


def _way_to_one(path: Path) -> str:
    """What to do where there is none; by default it is two folders below the models root."""
    made = "watcherd reconcile makes one, and so does watcherd run"
    root = path.parent.parent
    if os.path.isdir(root):
        return made
    return f"there is no folder {root} either: check models.root (--root) and registry.url; {made}"


def _other(url: str) -> Engine:
    try:
        return create_engine(url)
    except NoSuchModuleError:
        expected = "a database that SQLAlchemy speaks, such as sqlite:////var/lib/registry.db"
        raise SettingsError([Fault("registry.url", url, expected)], "registry") from None
    except ModuleNotFoundError as error:
        raise RegistryError(
            f"the registry {url} needs the Python package {error.name}",
            hint="install it beside watcherd, or use an SQLite registry",
        ) from None


def _sqlite(path: Path, mode: Mode) -> Engine:
    uri = f"file:{_quoted(path)}"
    if mode is Mode.READ:
        # Without a -shm file and the right to make one, only an immutable look is possible; that
        # is safe then, as no writer can be there without a -shm file.
        needs_shm = not path.with_name(path.name + "-shm").exists()
        frozen = needs_shm and not os.access(path.parent, os.W_OK)
        uri += "?mode=ro" + ("&immutable=1" if frozen else "")
    elif mode is Mode.WRITE:
        uri += "?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # transactions are begun below, not guessed by the driver
            check_same_thread=False,
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    writes = mode is not Mode.READ

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        if writes:
            connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(READS)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes and not reads else "BEGIN")

    return engine


def _quoted(path: Path) -> str:
    """As SQLite's URI file names want it."""
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _bring_up(engine: Engine, url: str, path: Path | None, mode: Mode) -> None:
    with engine.connect().execution_options(**{READS: True}) as connection:
        revision = schema.revision_of(connection)
    schema.refuse_unknown(revision, url)
    if revision != schema.HEAD:
        _migrate(engine, url, path, mode, revision)
    if mode is not Mode.READ and path is not None:
        _use_wal(engine)


def _migrate(engine: Engine, url: str, path: Path | None, mode: Mode, revision: str | None) -> None:
    if mode is not Mode.CREATE:
        raise RegistryError(
            f"the registry {url} has schema {revision or 'none'}, not {schema.HEAD}",
            hint="watcherd reconcile brings it up to date, after making a copy",
        )
    if revision is not None and path is not None:
        _copy_before_migration(path)
    with engine.begin() as connection:
        schema.upgrade(connection)


def _copy_before_migration(path: Path) -> None:
    target = path.with_name(f"{path.name}.before-{schema.HEAD}.{int(time.time())}")
    try:
        copy_to(path, target)
    except OSError as error:
        raise RegistryError(
            f"no copy of the registry could be made at {target}: {error.strerror}",
            hint="let this user write there; without a copy the registry is not migrated",
        ) from None


def _use_wal(engine: Engine) -> None:
    """Only once it is known to be ours: readers who may not write could not open it any more."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        _switch_to_wal(cursor)
        # The first read takes the lock by which another process, closing, sees that we are here.
        cursor.execute("SELECT count(*) FROM sqlite_master").fetchall()
    finally:
        raw.close()


def _switch_to_wal(cursor: Any) -> None:
    """SQLite's busy handler does not wait where a statement holds a lock already, as the change of
    the journal's mode does (``sqlite3BtreeBeginTrans``): so the waiting is done here.

    Another process that opens or leaves the registry at this moment holds it for milliseconds.
    On a full disk it stays as it is: who purges the trash must get in, and writes afterwards.
    """
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_FULL:
                return
            if code != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
        time.sleep(BUSY_PAUSE)


def _casefold(text: str | None) -> str | None:
    """SQLite's own lower() knows ASCII only."""
    return None if text is None else text.casefold()


def _translate(url: str, text: str) -> RegistryError:
    if "locked" in text or "busy" in text:
        return RegistryBusy(
            f"the registry {url} is locked by another process",
            hint="it is tried again; if it stays locked, find who holds it with fuser or lsof",
        )
    if "readonly" in text or "read-only" in text:
        return RegistryError(
            f"the registry {url} may only be read by this user ({text})",
            hint="run as the user that owns it, or give this user's group write permission",
        )
    if "disk" in text and "full" in text:
        return RegistryFull(
            f"no space left for the registry {url}",
            hint="free some disk space; watcherd trash purge does where the trash is on that disk",
        )
    if "malformed" in text or "not a database" in text:
        return _corrupt(url, text)
    if "unable to open" in text:
        return RegistryError(
            f"the registry {url} cannot be opened or made",
            hint="let this user write in its folder, or give a registry.url elsewhere",
        )
    return RegistryError(f"the registry {url} failed: {text}", hint="see docs/registry.md")


def _corrupt(place: str, why: str) -> RegistryError:
    return RegistryError(
        f"the registry {place} is damaged: {why}",
        hint="move it away and restore the newest copy beside it, or run watcherd reconcile to "
        "make a new one from the disk (marks and history are then lost)",
    )

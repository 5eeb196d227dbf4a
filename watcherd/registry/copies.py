"""Copies of an SQLite registry: whole at one moment, whoever writes it meanwhile.

Those made by and by are ``registry.db.backup-20260131T235959Z``, in UTC; of them the last few are
kept. What a migration leaves, ``registry.db.before-REVISION.TIME``, is no such copy and stays.
"""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

KEPT = 7

STEPS = 100_000
"""Of SQLite's virtual machine between two calls of ``between``: some 10 ms."""

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"\.backup-(?P<stamp>\d{8}T\d{6}Z)(?P<draft>\.\d+)?")
"""What follows the registry's name in a copy's, and in that of one which was never finished."""


class Copy(NamedTuple):
    """One of the copies made by and by."""

    path: Path
    made_ns: int
    """By its name, in ns since the epoch."""
    size_bytes: int


def _nothing() -> None:
    """Nobody waits."""


def copy_to(source: Path, target: Path, between: Callable[[], None] = _nothing) -> None:
    """Copy a registry with what its write-ahead log holds (sqlite.org/lang_vacuum.html).

    It reads one state, and locks nobody out. The copy is whole or not there: it gets its name when
    it was checked and is on the disk. ``between`` is called every few milliseconds, and may write
    the registry; what it raises ends the copying. Raises sqlite3.Error and OSError.
    """
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # of a stop in between, under the same process number
    try:
        with _attended(source, between) as registry:
            registry.execute("VACUUM INTO ?", (str(draft),))
        with _attended(draft, between) as copy:
            _be_careful(copy)
            _check(copy)
        draft.chmod(source.stat().st_mode & 0o777)
        _sync(draft)
        draft.rename(target)
        _sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def back_up(registry: Path, *, now: int, between: Callable[[], None] = _nothing) -> Copy:
    """Copy a registry beside itself, and keep the last few such copies; ``now`` in ns.

    For the one daemon of this registry: what another process began is taken for left behind.
    Raises sqlite3.Error and OSError.
    """
    for path, _ in _found(registry, draft=True):
        path.unlink(missing_ok=True)
    stamp = datetime.fromtimestamp(now // 1_000_000_000, UTC).strftime(_STAMP)
    copy_to(registry, registry.with_name(f"{registry.name}.backup-{stamp}"), between)
    *old, made = list_copies(registry, now=now)
    for one in old[: 1 - KEPT]:
        one.path.unlink(missing_ok=True)
    return made


def list_copies(registry: Path, *, now: int) -> list[Copy]:
    """The copies made by and by, the oldest first. What is dated in the future, by a clock that
    was wrong, is neither counted nor removed. Raises OSError."""
    found = [Copy(path, _ns_of(stamp), path.stat().st_size) for path, stamp in _found(registry)]
    return sorted((one for one in found if one.made_ns <= now), key=lambda one: one.made_ns)


def is_behind(copy: Path, registry: Path) -> bool:
    """Whether anything that no disk tells anew was said since the copy: all that is a line of the
    history, and the last lines differ then. A copy that cannot be read is behind.

    Raises sqlite3.Error where it is the registry that cannot be read.
    """
    last = last_line(registry)
    try:
        return last_line(copy) != last
    except sqlite3.Error:
        return True


def last_line(registry: Path) -> tuple[int, str] | None:
    """Number and time of the history's last line; None where there is none. Raises sqlite3.Error"""
    with closing(sqlite3.connect(f"{_uri(registry)}?mode=ro", uri=True)) as connection:
        newest = "SELECT history_id, at FROM history ORDER BY history_id DESC LIMIT 1"
        found: tuple[int, str] | None = connection.execute(newest).fetchone()
        return found


@contextmanager
def _attended(path: Path, between: Callable[[], None]) -> Iterator[sqlite3.Connection]:
    """A connection whose statements, however long, call ``between`` while they run."""
    raised: list[BaseException] = []
    calls = _calls(between, raised)
    next(calls)
    with closing(sqlite3.connect(f"{_uri(path)}?mode=rw", uri=True)) as connection:
        connection.set_progress_handler(calls.__next__, STEPS)
        try:
            yield connection
        finally:
            if raised:
                raise raised[0]


def _calls(between: Callable[[], None], raised: list[BaseException]) -> Iterator[bool]:
    """Calls it whenever it is asked for the next value. Once it ``raised``, there is none: that
    interrupts the statement, and SQLite would swallow the error itself.

    No function, because a signal that came while SQLite was at work is handled at the first
    instruction of what SQLite calls: in a function that is before any ``try``, in here within it.
    """
    while not raised:
        try:
            yield False
            between()
        except BaseException as error:  # noqa: BLE001  raised where SQLite was called
            raised.append(error)


def _be_careful(copy: sqlite3.Connection) -> None:
    """Restored, it knows nothing of the pins since: a person has to say so before it prunes."""
    copy.execute("PRAGMA journal_mode=MEMORY")  # the draft goes as a whole where this fails
    with copy:
        copy.execute("UPDATE root SET prune_confirmed = 0")


def _check(copy: sqlite3.Connection) -> None:
    (told,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if told != "ok":
        raise sqlite3.DatabaseError(f"the copy is malformed: {told}")


def _found(registry: Path, *, draft: bool = False) -> Iterator[tuple[Path, str]]:
    """The files beside a registry that are named as copies of it, or as drafts, with the stamp."""
    for path in registry.parent.iterdir():
        named = path.name.startswith(registry.name) and _NAME.fullmatch(
            path.name, len(registry.name)
        )
        if named and bool(named["draft"]) is draft and S_ISREG(path.lstat().st_mode):
            yield path, named["stamp"]


def _ns_of(stamp: str) -> int:
    moment = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000


def _uri(path: Path) -> str:
    return path.absolute().as_uri()


def _sync(path: Path) -> None:
    place = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(place)
    finally:
        os.close(place)

"""Copies of an SQLite registry: whole at one moment, whoever writes it meanwhile."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def copy_to(source: Path, target: Path) -> None:
    """Copy a registry with what its write-ahead log holds (sqlite.org/lang_vacuum.html).

    The copy is whole or not there: it gets its name when it is on the disk. Raises sqlite3.Error
    and OSError.
    """
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # of a stop in between, under the same process number
    try:
        with closing(sqlite3.connect(source)) as registry:
            registry.execute("VACUUM INTO ?", (str(draft),))
        draft.chmod(source.stat().st_mode & 0o777)
        _sync(draft)
        draft.rename(target)
        _sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    place = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(place)
    finally:
        os.close(place)

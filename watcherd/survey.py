"""A survey of a tree, for what no row holds: blind spots, and what trainers left behind.

It lists folders and looks at names; it takes a limited time, and says whether that was enough.
"""

import errno
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from watcherd import trash
from watcherd.grouping import join
from watcherd.lister import Lister
from watcherd.listing import Row
from watcherd.naming import Naming
from watcherd.naming.foreign import Foreign, foreign_file, foreign_folder, may_be_temporary
from watcherd.registry import iso
from watcherd.scan import fact_of, why_blind
from watcherd.scope import is_text

PATIENCE = 5.0
"""Seconds that a survey may take: about a million files on a local disk."""

OLD = 86_400 * 1_000_000_000
"""Nanoseconds after which what is temporary was left behind: no save takes a day."""

_NO_SPOT = (errno.ELOOP, errno.ENOENT, errno.ENOTDIR)
"""A folder that became a symlink, or went, while we were looking."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something temporary that nobody removed."""

    path: str
    what: str
    modified_ns: int

    def as_json(self) -> dict[str, Any]:
        """As commands print it."""
        return {"path": self.path, "what": self.what, "modified_at": iso(self.modified_ns)}


@dataclass
class Survey:
    """What was seen so far."""

    folders: int = 0
    is_whole: bool = True
    """Whether there was time for every folder."""
    blind: dict[str, str] = field(default_factory=dict)
    """Folder -> why it cannot be looked at."""
    leftovers: list[Leftover] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As commands print it."""
        return {
            "folders": self.folders,
            "whole": self.is_whole,
            "blind": self.blind,
            "leftovers": [one.as_json() for one in self.leftovers],
        }


def survey(
    root_fd: int, naming: Naming, *, now: int, tree: str = "", patience: float = PATIENCE
) -> Survey:
    """Look through a tree below the root, for so many seconds at most. ``now`` is in ns."""
    give_up = time.monotonic() + patience
    seen = Survey()
    with Lister(root_fd, {}) as lister:
        lister.put([tree])
        for folder, found in lister:
            if time.monotonic() > give_up:
                seen.is_whole = False
                break
            if not isinstance(found, OSError):
                _, names, rows, _ = found
                seen.folders += 1
                seen.leftovers += _leftovers(root_fd, folder, names, rows or (), now)
                below = (join(folder, name) for name in names if is_text(name))
                lister.put(path for path in below if not naming.ignores(path))
            elif found.errno not in _NO_SPOT:
                seen.blind[folder] = why_blind(found)
    return seen


def _leftovers(
    root_fd: int, folder: str, names: Iterable[str], rows: Iterable[Row], now: int
) -> Iterator[Leftover]:
    """Of one folder: what is temporary and old."""
    for name, _, _, mtime_ns, *_ in rows:
        if may_be_temporary(name):
            yield from _leftover(join(folder, name), foreign_file(name), mtime_ns, now)
    for name in names:
        if (foreign := foreign_folder(name)) is None:
            continue
        path = join(folder, name)
        with suppress(OSError):
            if fact := fact_of(root_fd, path):
                yield from _leftover(path, foreign, fact.mtime_ns, now)


def _leftover(path: str, foreign: Foreign | None, mtime_ns: int, now: int) -> Iterator[Leftover]:
    if foreign is not None and foreign.is_temporary and now - mtime_ns > OLD:
        yield Leftover(path, foreign.words, mtime_ns)


def forgotten(root_fd: int, known: Collection[str]) -> list[Leftover]:
    """What lies in the trash, and is none of the places that the registry knows.

    Raises TrashError where the trash cannot be listed.
    """
    found = trash.list_trash(root_fd, but=known)
    return [
        Leftover(one.trash_path, _describe(one), fact.mtime_ns)
        for one in found
        if (fact := fact_of(root_fd, one.trash_path))
    ]


def _describe(one: trash.Trashed) -> str:
    if one.entry is None:
        return "in the trash, and neither the registry nor a manifest knows what it is"
    return f"in the trash, and not in the registry: by its manifest it is {one.entry.path}"

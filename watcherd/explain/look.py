"""Looks at one path, and at the folders around it that tell what it is."""

import errno
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from watcherd import scan
from watcherd.explain.evidence import Disk, Found, Sight
from watcherd.listing import open_folder
from watcherd.naming import Naming, is_state_file
from watcherd.reconciler import INNER
from watcherd.scope import Scope, folders, lineage, parent_of
from watcherd.survey import survey

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

_KINDS: tuple[tuple[Callable[[int], bool], Found], ...] = (
    (stat.S_ISDIR, Found.FOLDER),
    (stat.S_ISREG, Found.FILE),
    (stat.S_ISLNK, Found.LINK),
)


def look_around(
    root_fd: int, naming: Naming, path: str, here: str | None, blind: Mapping[str, str]
) -> Disk:
    """What is at a path below the root, and in the folders that tell what it is.

    ``here`` is where the registry has its model on disk, if it has; ``blind`` are blind spots that
    a look of our own may not find: another's, or lost mounts.
    """
    sight = sight_of(root_fd, path)
    scope = _around(path, sight) | (_around(here) if here is not None else Scope())
    snapshot = scan.scan(root_fd, scope, naming)
    is_folder = sight.found is Found.FOLDER and path not in snapshot.artifacts
    may_enter = not path or not naming.ignores(path)
    return Disk(
        sight,
        replace(snapshot, blind={**blind, **snapshot.blind}),
        _latest(root_fd, path, naming),
        survey(root_fd, naming, now=time.time_ns(), tree=path) if is_folder and may_enter else None,
    )


def sight_of(root_fd: int, path: str) -> Sight:
    """What is at a path below the root, without following a symlink."""
    for place in reversed(list(lineage(parent_of(path)))):
        try:
            with open_folder(root_fd, place):
                pass
        except OSError as error:
            return _stopped(root_fd, place, error)
    name = path.rpartition("/")[2] or "."
    with open_folder(root_fd, parent_of(path)) as folder_fd:
        try:
            found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except OSError as error:
            return _stopped(root_fd, path, error)
    kind = next((kind for fits, kind in _KINDS if fits(found.st_mode)), Found.OTHER)
    return Sight(kind, path, _target(root_fd, path) if kind is Found.LINK else "")


def _stopped(root_fd: int, place: str, error: OSError) -> Sight:
    if error.errno == errno.ELOOP:
        return Sight(Found.LINK, place, _target(root_fd, place))
    if error.errno in _ABSENT:
        return Sight(Found.ABSENT, place)
    return Sight(Found.HIDDEN, place, scan.why_blind(error))


def _target(root_fd: int, link: str) -> str:
    with suppress(OSError), open_folder(root_fd, parent_of(link)) as folder_fd:
        return os.readlink(link.rpartition("/")[2], dir_fd=folder_fd)
    return "nobody knows where"


def _around(path: str, sight: Sight | None = None) -> Scope:
    """The folders whose listings tell of a path: a SavedModel's tells of those in it, too."""
    folder = parent_of(path)
    is_folder = sight is None or sight.found is Found.FOLDER
    above = [parent_of(folder)] if folder.rpartition("/")[2] in INNER else []
    return folders([folder, *above, *([path] if is_folder else [])])


def _latest(root_fd: int, path: str, naming: Naming) -> str | None:
    """What a state file names; None where it names nothing, cannot be read, or is none."""
    folder, _, name = path.rpartition("/")
    if not is_state_file(name, naming.state_files):
        return None
    with suppress(OSError), open_folder(root_fd, folder) as folder_fd:
        latest = scan.latest_named_by(folder_fd, name)
        return latest and f"{folder}/{latest}".lstrip("/")
    return None

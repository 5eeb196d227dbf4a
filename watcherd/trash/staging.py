"""A copy of an artifact, made in our own folder, and brought to its place like what was restored.

Nothing under the root is opened for writing but our own files. The manifest is written last: where
it stands, the copy is whole, and ``bring_back`` can finish what was broken off; where it does not,
nothing has left our folder yet.
"""

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from stat import S_ISREG
from typing import BinaryIO

from watcherd.artifact import FileFact, Part, Role, fact_from
from watcherd.errors import TrashError
from watcherd.scope import parent_of
from watcherd.trash import calls
from watcherd.trash.entry import Entry, name_of
from watcherd.trash.faults import explained
from watcherd.trash.folders import dress, dress_file, look, make_folder, open_folder
from watcherd.trash.manifest import read_manifest, write_manifest
from watcherd.trash.moves import OWNER_AND_GROUP, bring_back, purge
from watcherd.trash.transit import UNTOUCHED

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RANGE = 1 << 30
"""Bytes asked of one copy_file_range(2): it does at most 2 GB at once."""
_CHUNK = 1 << 20


def copied(parts: Iterable[Part], path: str, copy: str) -> tuple[Part, ...]:
    """The parts of an artifact at ``path`` under the names that they have in a copy of it."""
    here, there = parent_of(path), parent_of(copy)
    return tuple(
        part._replace(path=f"{there}/{part.path.removeprefix(f'{here}/')}")
        for part in parts
        if part.role is not Role.TEMPORARY
    )


def is_shared(root_fd: int, part: Part, copy: Part) -> bool:
    """Whether a companion is in a copy's folder already, as that of another model.

    Raises TrashError where what lies there under its name is something else.
    """
    with ExitStack() as opened:
        theirs, ours = (_read(root_fd, one, opened) for one in (copy, part))
        if theirs is None or ours is None:
            return False
        with explained(copy.path):
            if _are_equal(ours, theirs):
                return True
    raise TrashError(
        f"{copy.path}: another file is there already, and {part.path} is to accompany the copy "
        "under that name",
        hint="see which of the two is right: models that share an ensemble share the companions "
        "of one name",
    )


def _read(root_fd: int, part: Part, opened: ExitStack) -> BinaryIO | None:
    """A file to read, closed with ``opened``; None where it is absent."""
    with explained(part.path):
        try:
            return opened.enter_context(os.fdopen(_open_source(root_fd, part), "rb"))
        except FileNotFoundError:
            return None


def _are_equal(one: BinaryIO, other: BinaryIO) -> bool:
    """Of files whose content may be large."""
    if os.fstat(one.fileno()).st_size != os.fstat(other.fileno()).st_size:
        return False
    while chunk := one.read(_CHUNK):
        if chunk != other.read(_CHUNK):
            return False
    return True


@contextmanager
def staging(root_fd: int, entry: Entry, like: str) -> Iterator[None]:
    """Hold the folder where a copy is made: who finds it free knows that its maker is gone.

    ``like``: the folder whose readers may read the copy. Raises TrashError.
    """
    with ExitStack() as opened:
        if (model := open_folder(root_fd, like)) is not None:
            opened.callback(os.close, model)
        with explained(entry.trash_path):
            folder = make_folder(root_fd, entry.trash_path)
        opened.callback(os.close, folder)
        if not _holds(folder):
            raise TrashError(f"{entry.trash_path}: another process is at work there")
        if model is not None:
            dress(folder, model, OWNER_AND_GROUP)
        yield


def stage(root_fd: int, parts: Sequence[Part], entry: Entry, said: Mapping[str, object]) -> Entry:
    """Copy files into our folder; the entry of the copy, for ``bring_back``.

    ``parts`` are those of the model as they were decided upon, ``entry`` names those of the copy in
    the same order. ``said`` goes into the manifest. Raises TrashError, and nothing of it stays,
    where a file is no longer what it was, before or after it was copied.
    """
    try:
        _check_free(root_fd, entry)
        made = [_copy_file(root_fd, *pair, entry) for pair in zip(parts, entry.parts, strict=True)]
        whole = replace(entry, parts=tuple(made))
        _describe(root_fd, whole, said)
    except TrashError:
        discard(root_fd, entry.trash_path)
        raise
    return whole


def _check_free(root_fd: int, entry: Entry) -> None:
    """Raises TrashError where a name is taken: it would be found out after all was copied, too."""
    for part in entry.parts:
        folder = open_folder(root_fd, parent_of(part.path))
        if folder is None:
            continue
        try:
            with explained(part.path):
                is_taken = look(folder, name_of(part)) is not None
        finally:
            os.close(folder)
        if is_taken:
            raise TrashError(
                f"{part.path}: something is there already, and nothing is ever overwritten",
                hint="remove it first, by watcherd ensemble remove or watcherd rm of that path, or "
                "by hand",
            )


def _describe(root_fd: int, whole: Entry, said: Mapping[str, object]) -> None:
    folder = make_folder(root_fd, whole.trash_path)
    try:
        with explained(whole.trash_path):
            write_manifest(folder, whole, said, sync=True)
            calls.sync(folder)
    finally:
        os.close(folder)


def deliver(root_fd: int, whole: Entry) -> None:
    """Bring a copy to its place. Raises TrashError where something is in the way, and nothing of
    the copy stays; what then lies on both sides is left to ``settle``."""
    try:
        bring_back(root_fd, whole)
    except TrashError:
        with suppress(TrashError):
            purge(root_fd, whole)
        raise


def settle(root_fd: int, trash_path: str) -> bool:
    """Finish or undo a copy that was broken off; False where its maker is at work.

    A whole copy goes to its place, unless something is in the way there.
    """
    with explained(trash_path):
        folder = open_folder(root_fd, trash_path)
    if folder is None:
        return True
    try:
        if not _holds(folder):
            return False
        whole = read_manifest(folder, trash_path).entry
    finally:
        os.close(folder)
    if whole is None:
        discard(root_fd, trash_path)
        return True
    try:
        bring_back(root_fd, whole)
    except TrashError:
        purge(root_fd, whole)
    return True


def is_taken(root_fd: int, heads: Iterable[str]) -> bool:
    """Whether an artifact of these heads may be there. Where its folder cannot be entered, nobody
    will see one."""
    return any(_is_file(root_fd, head) for head in heads)


def _is_file(root_fd: int, path: str) -> bool:
    with suppress(TrashError):
        if (folder := open_folder(root_fd, parent_of(path))) is not None:
            try:
                found = os.stat(path.rpartition("/")[2], dir_fd=folder, follow_symlinks=False)
                return S_ISREG(found.st_mode)
            except OSError:
                return False
            finally:
                os.close(folder)
    return False


def discard(root_fd: int, trash_path: str) -> None:
    """Remove the folder where a copy is made, and what is in it: all of that is ours.

    Never raises: what could not be removed is listed as a leftover.
    """
    with suppress(OSError, TrashError):
        above = open_folder(root_fd, parent_of(trash_path))
        if above is not None:
            try:
                _clear(above, trash_path.rpartition("/")[2])
            finally:
                os.close(above)


def _clear(above: int, name: str) -> None:
    folder = os.open(name, _FOLDER, dir_fd=above)
    try:
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                _clear(folder, entry.name)
            else:
                calls.remove(folder, entry.name)
    finally:
        os.close(folder)
    calls.remove_folder(above, name)


def _holds(folder: int) -> bool:
    """Whether the folder is ours now; also where its file system has no such locks (NFS)."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _copy_file(root_fd: int, part: Part, copy: Part, entry: Entry) -> Part:
    with explained(part.path):
        source = _open_source(root_fd, part)
        try:
            folder = make_folder(root_fd, parent_of(entry.place_of(copy)))
            try:
                fact = _fill(source, part, folder, name_of(copy))
            finally:
                os.close(folder)
        finally:
            os.close(source)
    return copy._replace(fact=fact)


def _open_source(root_fd: int, part: Part) -> int:
    folder = open_folder(root_fd, parent_of(part.path))
    if folder is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), part.path)
    try:
        return os.open(name_of(part), _FILE, dir_fd=folder)
    finally:
        os.close(folder)


def _fill(source: int, part: Part, folder: int, name: str) -> FileFact:
    """The facts of the new file, whose content has reached the disk."""
    _check_unchanged(source, part)
    target = calls.create(folder, name)
    try:
        while calls.copy(source, target, _RANGE):
            pass
        _check_unchanged(source, part)
        dress_file(target, source)
        calls.sync(target)
        return fact_from(os.fstat(target))
    finally:
        os.close(target)


def _check_unchanged(source: int, part: Part) -> None:
    if UNTOUCHED(fact_from(os.fstat(source))) != UNTOUCHED(part.fact):
        raise TrashError(
            f"{part.path}: it changed while it was to be copied, and is left alone",
            hint="try again when its save is complete",
        )

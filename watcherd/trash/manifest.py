"""The manifest beside each trashed artifact: what it was, where it came from, and why it went.

The registry knows the same. The manifest is for the day when the registry is lost, and it is the
list of the only names that a purge may remove.
"""

import json
import os
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from watcherd.artifact import FileFact, Part, Role
from watcherd.errors import TrashError
from watcherd.trash import calls
from watcherd.trash.entry import DRAFT, MANIFEST, TRASH, Entry
from watcherd.trash.faults import explained
from watcherd.trash.folders import open_folder

_BYTES = 4 << 20
"""A part takes some 200 bytes; what is larger than this was not written by us."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Trashed:
    """One name in the trash folder."""

    trash_path: str
    entry: Entry | None
    """What the manifest describes; None where nothing here says what it is (a leftover)."""
    manifest: Mapping[str, object] = field(default_factory=dict)


def write_manifest(folder: int, entry: Entry, manifest: Mapping[str, object], sync: bool) -> None:
    """Write it whole or not at all: a draft, then a rename. Readable to those who may enter.

    Raises OSError.
    """
    with suppress(FileNotFoundError):
        calls.remove(folder, DRAFT)
    draft = calls.create(folder, DRAFT)
    try:
        calls.write(draft, _encode(entry, manifest))
        calls.change_mode(draft, stat.S_IMODE(os.fstat(folder).st_mode) & 0o660)
        if sync:
            calls.sync(draft)
    finally:
        os.close(draft)
    calls.publish(folder, DRAFT, MANIFEST)


def read_manifest(folder: int, trash_path: str) -> Trashed:
    """What the manifest of an opened trash folder says. Junk makes no entry and never raises."""
    try:
        manifest = _decode(_read(folder))
        return Trashed(trash_path, _entry_of(trash_path, manifest), manifest)
    except (OSError, TrashError, ValueError, TypeError, KeyError, RecursionError):
        return Trashed(trash_path, None)


def list_trash(root_fd: int, but: Collection[str] = ()) -> tuple[Trashed, ...]:
    """All that lies in the trash, oldest first; ``but`` are places that are not looked into.

    Raises TrashError only where the trash folder itself cannot be listed.
    """
    trash = open_folder(root_fd, TRASH)
    if trash is None:
        return ()
    try:
        with explained(TRASH):
            names = sorted(n for n in os.listdir(trash) if f"{TRASH}/{n}" not in but)
        return tuple(_look_into(trash, name) for name in names)
    finally:
        os.close(trash)


def _look_into(trash: int, name: str) -> Trashed:
    trash_path = f"{TRASH}/{name}"
    folder = None
    with suppress(TrashError):
        folder = open_folder(trash, name)
    if folder is None:
        return Trashed(trash_path, None)
    try:
        return read_manifest(folder, trash_path)
    finally:
        os.close(folder)


def _read(folder: int) -> bytes:
    """Raises OSError. A pipe, opened without waiting, is as good as empty."""
    with open(os.open(MANIFEST, _FILE, dir_fd=folder), "rb") as file:
        return file.read(_BYTES)


def _encode(entry: Entry, manifest: Mapping[str, object]) -> bytes:
    parts = [{"role": part.role, "path": part.path, **part.fact._asdict()} for part in entry.parts]
    whole = {**manifest, "path": entry.path, "parts": parts}
    # In one line: with an indent, json is ten times slower, and jq shows it as well.
    return json.dumps(whole, default=str).encode()


def _decode(raw: bytes) -> dict[str, object]:
    manifest = json.loads(raw)
    if not isinstance(manifest, dict):
        raise TypeError(MANIFEST)
    return manifest


def _entry_of(trash_path: str, manifest: Mapping[str, object]) -> Entry:
    """Raises TypeError, ValueError, KeyError or TrashError where it describes no entry."""
    path, parts = manifest["path"], manifest["parts"]
    if not isinstance(path, str) or not isinstance(parts, list):
        raise TypeError(MANIFEST)
    return Entry(path, trash_path, tuple(_part_of(part) for part in parts))


def _part_of(part: Mapping[str, object]) -> Part:
    numbers = [part[name] for name in FileFact._fields]
    path = part["path"]
    if not isinstance(path, str) or not all(isinstance(number, int) for number in numbers):
        raise TypeError(MANIFEST)
    return Part(Role(str(part["role"])), path, FileFact._make(numbers))

"""What a person names on the command line → a scope, or a model."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote

from watcherd import naming
from watcherd.errors import NoSuchModel, UsageError, visible
from watcherd.plan import State
from watcherd.registry import Filter, Registry, Root, Row
from watcherd.registry.marks import ids_of_alias
from watcherd.scope import ROOT, Scope, folders, is_text, parent_of, tree

DIGITS = 18
"""The most that a model_id has: SQLite's integers hold no more."""


def below_root(root: Path, path: Path) -> str:
    """The path below the root, POSIX. A relative one counts from the root first, then from here.

    Raises UsageError where it lies outside.
    """
    here = from_here(path)
    if here is None or (not path.is_absolute() and (is_there(root / path) or not is_there(here))):
        path = root / path
    # The folder is resolved, the name is not: a model may be a symlink's target, never a symlink.
    is_name = path.name not in ("", ".", "..")
    place = path.parent.resolve() / path.name if is_name else path.resolve()
    if place == root:
        return ""
    try:
        return place.relative_to(root).as_posix()
    except ValueError:
        raise UsageError(
            f"{path} is not below the models root {root}", hint="name a folder or file below it"
        ) from None


def from_here(path: Path) -> Path | None:
    """A path from the working folder, absolute; None where that is gone, so that none leads on."""
    try:
        return path.absolute()
    except FileNotFoundError:
        return None


def scope_of(root: Path, paths: Iterable[Path]) -> Scope:
    """Folders with all below them; a file's folder alone."""
    scope = Scope()
    for path in paths:
        place = below_root(root, path)
        scope |= tree(place)
        is_ignored = naming.is_ignored_folder(place.rpartition("/")[2])
        if not is_ignored and not os.path.isdir(root / place):
            # A file, a checkpoint's prefix, or a folder that is gone.
            scope |= folders([parent_of(place), *_noted(place)])
    return scope or ROOT


def nowhere(registry: Registry, root: Path, paths: Iterable[Path]) -> list[Path]:
    """The paths that are neither on disk nor in the registry; most are mistyped."""
    known = registry.root(str(root))
    places = {path: below_root(root, path) for path in paths}
    return [
        path
        for path, place in places.items()
        if not is_there(root / place)
        and not (known and is_text(place) and _is_known(registry, known.root_id, place))
    ]


def _is_known(registry: Registry, root_id: int, place: str) -> bool:
    """Whether any model, also one that is gone, has this path, or one below it."""
    # A range, so that an index serves it: ``0`` is the character after ``/``.
    below = (f"root_id = {root_id}", f"path > {place}/", f"path < {place}0")
    chosen = (Filter(states=(), ensemble=copies, where=below) for copies in (False, True))
    return bool(registry.ids_at(place, root_id)) or any(
        registry.models(one, limit=1) for one in chosen
    )


def is_there(path: Path) -> bool:
    """Whether it is on disk, or may be, because this user may not look. A checkpoint's prefix is
    there if any of its files is."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        with suppress(OSError):
            return any(one.startswith(f"{path.name}.") for one in os.listdir(path.parent))
        return False
    except OSError:
        return True
    return True


def _noted(place: str) -> tuple[str, ...]:
    """The SavedModel that a note may belong to: only its own folder's listing yields it."""
    artifact = naming.note_of(place.rpartition("/")[2])
    return () if artifact is None else (f"{parent_of(place)}/{artifact}".lstrip("/"),)


def model_at(registry: Registry, root: Path, name: str, *, state: State | None = None) -> int:
    """The model_id of what a person calls a model: an id, a path of it or of one of its files, or
    its alias after its place, ``1h/BTCUSDT/LSTM@champion``.

    Of several that have a path, or had it, one in that ``state`` if there is one, else the one on
    disk. Of a path that it or its file had before it moved, says where it is. Raises NoSuchModel,
    and UsageError for an alias that two models came to share by a move.
    """
    known = registry.root(str(root))
    if name.isdecimal() and len(name) <= DIGITS and (row := registry.find(int(name))) is not None:
        _check_root(row, known)
        return int(name)
    if name and is_text(name):
        for place in _places_meant(root, name):
            if ids := registry.ids_at(place, known.root_id if known else None):
                chosen = next((one for one in ids if _is_in(registry, one, state)), ids[0])
                _tell_move(registry, chosen, place)
                return chosen
        if ids := ids_of_alias(registry, str(root), name):
            return _only(name, ids)
    raise NoSuchModel(f"the registry knows no model '{name}'", hint=_way_on(root, name))


def _is_in(registry: Registry, model_id: int, state: State | None) -> bool:
    row = registry.find(model_id) if state else None
    return row is not None and row["state"] == state


def _places_meant(root: Path, name: str) -> Iterator[str]:
    """The path, and the prefix if it is that of a checkpoint's file: of one that moved away, the
    registry knows no more than its prefix."""
    for place in _readings(root, Path(name)):
        yield place
        if part := naming.part_of(place.rpartition("/")[2]):
            yield f"{parent_of(place)}/{part.artifact}".lstrip("/")


def _readings(root: Path, path: Path) -> Iterator[str]:
    """What a path may mean: of a model that is gone, no file on the disk decides between them."""
    yield below_root(root, path)
    here = from_here(path)
    if here is not None and not path.is_absolute():
        with suppress(UsageError):
            yield below_root(root, here)


def _way_on(root: Path, name: str) -> str:
    if name and (os.path.lexists(root / name) or os.path.lexists(name)):
        return f"watcherd explain {quote(name)} says what it is"
    return "watcherd list shows what it knows; watcherd reconcile looks at the disk again"


def _check_root(row: Row, known: Root | None) -> None:
    """One registry may serve several roots; a command works on its own root only."""
    if known is not None and row["root_id"] != known.root_id:
        raise NoSuchModel(
            f"model {row['model_id']} is of another models root: {row['absolute_path']}",
            hint="name that root: --root DIR",
        )


def _tell_move(registry: Registry, model_id: int, place: str) -> None:
    row = registry.find(model_id)
    if row and place not in {row["path"], *(one["path"] for one in row["files_seen"])}:
        print(visible(f"watcherd: {place} is {row['path']} now"), file=sys.stderr)


def _only(name: str, ids: list[int]) -> int:
    if len(ids) > 1:
        told = " and ".join(map(str, ids))
        raise UsageError(
            f"{name} means {len(ids)} models, {told}: one was moved to where the other is",
            hint="name the model by its id, or take the alias from one with watcherd unalias",
        )
    return ids[0]

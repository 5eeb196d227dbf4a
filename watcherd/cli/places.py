"""What a person names on the command line → a scope, or a model."""

import os
from collections.abc import Iterable
from pathlib import Path

from watcherd import naming
from watcherd.errors import NoSuchModel, UsageError
from watcherd.registry import Registry
from watcherd.scope import ROOT, Scope, folders, is_text, parent_of, tree

DIGITS = 18
"""Of a model_id at most: what SQLite's integers hold."""


def below_root(root: Path, path: Path) -> str:
    """The path below the root, POSIX. A relative one counts from the root first, then from here.

    Raises UsageError where it lies outside.
    """
    if (not path.is_absolute() and not os.path.lexists(path.absolute())) or (
        not path.is_absolute() and os.path.lexists(root / path)
    ):
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


def scope_of(root: Path, paths: Iterable[Path]) -> Scope:
    """Folders with all below them; a file's folder alone."""
    scope = Scope()
    for path in paths:
        place = below_root(root, path)
        scope |= tree(place)
        is_ignored = naming.is_ignored_folder(place.rpartition("/")[2])
        if not is_ignored and not os.path.isdir(root / place):
            # A file, a checkpoint's prefix, or a folder that is gone.
            scope |= folders([parent_of(place)])
    return scope or ROOT


def model_at(registry: Registry, root: Path, name: str) -> int:
    """The model_id of what a person calls a model: an id, or a path of it or of one of its files.

    Raises NoSuchModel.
    """
    if name.isdecimal() and len(name) <= DIGITS and registry.find(int(name)) is not None:
        return int(name)
    ids = registry.ids_at(below_root(root, Path(name))) if name and is_text(name) else []
    if not ids:
        raise NoSuchModel(
            f"the registry knows no model {name}",
            hint="watcherd list shows what it knows; watcherd reconcile looks at the disk again",
        )
    return ids[0]

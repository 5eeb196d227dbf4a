"""A scope names where to look: the whole models root, or some folders below it. A plain value."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum


def parent_of(path: str) -> str:
    """The folder that holds a path below the root; the root's own parent is the root."""
    return path.rpartition("/")[0]


def is_within(path: str, tree: str) -> bool:
    """Whether a path is the tree or lies below it."""
    return not tree or path == tree or path.startswith(tree + "/")


def homes(path: str) -> tuple[str, str]:
    """The folders whose listing may yield the artifact of a path: its own, if it is one, too."""
    return parent_of(path), path


def lineage(path: str) -> Iterator[str]:
    """The path itself and every folder above it, up to the root ``""``."""
    while path:
        yield path
        path = parent_of(path)
    yield ""


def is_text(name: str) -> bool:
    """Whether a name is UTF-8; other bytes come as lone surrogates (PEP 383)."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_below_any(path: str, trees: frozenset[str]) -> bool:
    return bool(path) and any(above in trees for above in lineage(parent_of(path)))


def _nearest_text(path: str) -> str:
    return next(above for above in lineage(path) if is_text(above))


class Cause(StrEnum):
    """What woke the cycle: only a label for the log and the history."""

    STARTUP = "startup"
    EVENT = "event"
    TIMER = "timer"
    OVERFLOW = "overflow"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Scope:
    """Folders to look at, below the root: ``trees`` with all below them, ``folders`` alone.

    Normalised when made: nothing in it lies below one of its own trees, and instead of a folder
    whose name is not UTF-8, in which nothing is ever registered, the nearest one above is named.
    """

    trees: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        asked = frozenset(filter(is_text, self.trees))
        trees = frozenset(one for one in asked if one == "" or not _is_below_any(one, asked))
        odd = (one for one in self.trees | self.folders if not is_text(one))
        singles = frozenset(filter(is_text, self.folders)) | frozenset(map(_nearest_text, odd))
        folders = frozenset(
            one for one in singles if one not in trees and not _is_below_any(one, trees)
        )
        object.__setattr__(self, "trees", trees)
        object.__setattr__(self, "folders", folders)

    def __or__(self, other: "Scope") -> "Scope":
        return Scope(self.trees | other.trees, self.folders | other.folders)

    def __bool__(self) -> bool:
        return bool(self.trees or self.folders)

    def __str__(self) -> str:
        if self == ROOT:
            return "root"
        names = sorted(
            [f"{tree or '.'}/**" for tree in self.trees] + [f or "." for f in self.folders]
        )
        if not names:
            return "nothing"
        return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"

    def covers(self, folder: str) -> bool:
        """Whether the files of this folder are looked at."""
        return folder in self.folders or folder in self.trees or _is_below_any(folder, self.trees)

    def among(self, paths: AbstractSet[str]) -> AbstractSet[str]:
        """Those of many folders that are looked at."""
        if self.trees == {""}:
            return paths
        if not self.trees:
            return paths & self.folders
        return {path for path in paths if self.covers(path)}


def tree(*paths: str) -> Scope:
    """The scope of whole trees."""
    return Scope(trees=frozenset(paths))


def folders(paths: Iterable[str]) -> Scope:
    """The scope of single folders, without what lies in folders below them."""
    return Scope(folders=frozenset(paths))


ROOT = Scope(trees=frozenset({""}))
"""The whole models root."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to scan a scope."""

    scope: Scope
    cause: Cause

"""Globs over names and paths: ``*`` is any text, ``?`` one character, ``[abc]`` one of these."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import translate


@dataclass(frozen=True, slots=True)
class Globs:
    """Some patterns for one name, tried in order."""

    patterns: tuple[str, ...]
    ignore_case: bool = False
    _any: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # One expression for all: nearly every name fits none, and pays for one match only.
        joined = "|".join(map(translate, self.patterns)) or r"(?!)"
        object.__setattr__(self, "_any", self._compile(joined))

    def _compile(self, expression: str) -> re.Pattern[str]:
        return re.compile(expression, re.IGNORECASE if self.ignore_case else 0)

    def fitting(self, name: str) -> str | None:
        """The first pattern that the whole name fits; None where it fits none."""
        if not self._any.match(name):
            return None
        return next(p for p in self.patterns if self._compile(translate(p)).match(name))


@dataclass(frozen=True, slots=True)
class PathGlobs:
    """Patterns for paths: what lies below a path that fits, fits as well.

    A pattern without a slash fits a folder or file at any depth; one with a slash fits from the
    models root, folder by folder.
    """

    patterns: tuple[str, ...]
    _anywhere: Globs = field(init=False, repr=False, compare=False)
    _rooted: tuple[tuple[str, tuple[Globs, ...]], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        anywhere = tuple(p for p in self.patterns if not _is_rooted(p))
        object.__setattr__(self, "_anywhere", Globs(tuple(p.rstrip("/") for p in anywhere)))
        object.__setattr__(
            self, "_rooted", tuple((p, _levels(p)) for p in self.patterns if _is_rooted(p))
        )

    def fitting(self, path: str) -> str | None:
        """The first pattern that the path or a folder above it fits; None where none does."""
        names = path.split("/")
        for name in names:
            if pattern := self._anywhere.fitting(name):
                return pattern
        return next((p for p, levels in self._rooted if _begins(names, levels)), None)


def _is_rooted(pattern: str) -> bool:
    return "/" in pattern.rstrip("/")


def _levels(pattern: str) -> tuple[Globs, ...]:
    return tuple(Globs((level,)) for level in pattern.strip("/").split("/"))


def _begins(names: Sequence[str], levels: Sequence[Globs]) -> bool:
    return len(names) >= len(levels) and all(
        level.fitting(name) for level, name in zip(levels, names, strict=False)
    )

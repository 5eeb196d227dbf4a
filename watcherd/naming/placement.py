"""Path → interval, ticker and type, by the layouts of the settings."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from string import Formatter

from watcherd.artifact import Form
from watcherd.naming.braces import Braces
from watcherd.naming.globs import Globs

_INTERVAL = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smMhHdDwWS])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MONTH = 30 * 86400
"""``1M``, in seconds: a month counts as 30 days."""

_SUFFIX = re.compile(r"(?<=[^/])(?:(?:\.weights)?\.h5|\.hdf5|\.keras)\Z", re.IGNORECASE)

_WORDS = ("interval", "ticker", "type")


def interval_seconds(text: str) -> int | None:
    """Seconds of a word such as ``15m``, ``1h``, ``1d``, ``1w`` or ``1M`` (30 days).

    Case matters for ``m`` (minute) and ``M`` (month) only. None where the word is no duration.
    """
    found = _INTERVAL.fullmatch(text)
    if not found:
        return None
    unit = _MONTH if found["unit"] == "M" else _SECONDS[found["unit"].lower()]
    return int(found["count"]) * unit or None


def without_suffix(path: str, form: Form) -> str:
    """The path without the format's suffix; a checkpoint prefix has none."""
    return path if form is Form.CHECKPOINT else _SUFFIX.sub("", path)


@dataclass(frozen=True, slots=True)
class Placement:
    """What the folders above an artifact say of it."""

    interval: str | None
    interval_seconds: int | None
    ticker: str | None
    type: str | None
    model_name: str
    """The path below the placement, without the format's suffix; of an unplaced artifact the
    whole path."""
    ensemble_type: str | None = None
    """The type folder's name where that folder holds copies; ``type`` is then None."""
    unplaced: str | None = None
    """Why it has no placement, for a person."""


class Unfit(Exception):
    """A path does not fit a layout; the message says why."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One pattern of folders, such as ``{interval}/{ticker}/{type}``."""

    text: str
    levels: tuple[Braces, ...]

    @classmethod
    def compile(cls, text: str) -> "Layout":
        """Read a layout. A level may hold plain text as well, and ``{}`` is any folder.

        Raises ValueError, in words for a person, where the layout makes no sense.
        """
        levels = text.strip("/").split("/")
        _check_fields([field for level in levels for field in _fields(level)])
        return cls(text, tuple(Braces.compile(level) for level in levels))

    def read(self, folders: Sequence[str]) -> Mapping[str, str]:
        """The words that the folders, outermost first, stand for; raises Unfit."""
        if len(folders) < len(self.levels):
            raise Unfit(f"{self.text} needs {len(self.levels)} folders, it lies in {len(folders)}")
        words: dict[str, str] = {}
        for level, folder in zip(self.levels, folders, strict=False):
            found = level.match(folder)
            if found is None:
                raise Unfit(f"folder {folder!r} is no {level.text} of {self.text}")
            words |= found.groupdict()
        return words

    def beside(self, folders: Sequence[str], kind: str) -> tuple[str, ...] | None:
        """The folders with another word for the type; None where the layout has no such word.

        Raises Unfit.
        """
        self.read(folders)
        for at, (level, folder) in enumerate(zip(self.levels, folders, strict=False)):
            found = level.match(folder)
            if found is not None and "type" in found.groupdict():
                start, end = found.span("type")
                return (*folders[:at], folder[:start] + kind + folder[end:], *folders[at + 1 :])
        return None


def _fields(level: str) -> list[str]:
    if not level:
        raise ValueError("a folder's name is missing between two slashes")
    return [field for _, field, _, _ in Formatter().parse(level) if field]


def _check_fields(fields: Sequence[str]) -> None:
    known = ", ".join(f"{{{word}}}" for word in _WORDS)
    if not fields:
        raise ValueError(f"it names none of {known}")
    for field in fields:
        if field not in _WORDS:
            raise ValueError(f"{{{field}}} is none of {known}")
        if fields.count(field) > 1:
            raise ValueError(f"{{{field}}} stands in it more than once")


def place(
    path: str, form: Form, layouts: Sequence[Layout], types: Globs, ensembles: Globs
) -> Placement:
    """Place an artifact by the first layout that fits; ``types`` without patterns accepts all."""
    *folders, _ = path.split("/")
    reasons = []
    for layout in layouts:
        try:
            words = layout.read(folders)
            below = "/".join(path.split("/")[len(layout.levels) :])
            return _placement(words, without_suffix(below, form), types, ensembles)
        except Unfit as reason:
            reasons.append(str(reason))
    name = without_suffix(path, form)
    return Placement(None, None, None, None, name, unplaced="; ".join(reasons))


def place_beside(path: str, layouts: Sequence[Layout], kind: str) -> str | None:
    """The path that an artifact would have were its type another one; None where it has no type."""
    *folders, name = path.split("/")
    for layout in layouts:
        with suppress(Unfit):
            beside = layout.beside(folders, kind)
            return None if beside is None else "/".join((*beside, name))
    return None


def _placement(words: Mapping[str, str], name: str, types: Globs, ensembles: Globs) -> Placement:
    interval, kind = words.get("interval"), words.get("type")
    seconds = interval_seconds(interval) if interval else None
    if interval and not seconds:
        raise Unfit(f"{interval!r} is no interval such as 15m, 1h, 4h, 1d, 1w or 1M")
    copies = kind is not None and ensembles.fitting(kind) is not None
    if kind and not copies and types.patterns and not types.fitting(kind):
        raise Unfit(f"type {kind!r} is none of models.types: {', '.join(types.patterns)}")
    ticker = words.get("ticker")
    if copies:
        return Placement(interval, seconds, ticker, None, name, ensemble_type=kind)
    return Placement(interval, seconds, ticker, kind, name)

"""What every table is made of: cells, sizes, counts and times.

Control characters in names are made visible, so that no name can move the cursor.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from watcherd.errors import visible
from watcherd.plan import State

Row = Mapping[str, Any]

_STATE_STYLES = {
    State.PRESENT: "green",
    State.INCOMPLETE: "yellow",
    State.UNREADABLE: "red",
    State.MISSING: "dim",
    State.TRASHED: "magenta",
    State.DELETED: "dim",
}


def human_size(count: int) -> str:
    """``34 kB``: three digits at most, units of 1,000."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError  # the last unit always returns


LONG = {"path": 24, "model": 24, "copy": 12, "why": 12, "value": 12, "metric": 6, "layer": 8}
"""Columns that wrap rather than vanish on a narrow terminal -> their least width."""


class Lean(Table):
    """A table whose lines end with their last word: with what they are padded by, ``head`` and a
    narrow terminal would show lines that nobody wrote."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        padded = super().__rich_console__(console, options)
        for line in Segment.split_lines(one for one in padded if isinstance(one, Segment)):
            yield from shorn(line)
            yield Segment.line()


def shorn(line: Sequence[Segment]) -> Iterator[Segment]:
    """A line without the space that it ends with."""
    kept = list(line)
    while kept and not kept[-1].text.strip():
        kept.pop()
    yield from kept[:-1]
    yield from (Segment(last.text.rstrip(), last.style) for last in kept[-1:])


def new_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Two spaces between columns, as in ``fitting``: one of the padding, one of the box."""
    table = Lean(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            overflow="fold" if name in LONG else "ellipsis",
            no_wrap=name not in LONG,
            min_width=LONG.get(name, 1),
        )
    return table


def state_cell(row: Row) -> Text:
    return Text(row["state"], style=_STATE_STYLES.get(State(row["state"]), ""))


def cell(value: object) -> Text:
    return Text("" if value is None else visible(value))


def count_models(count: int) -> str:
    return "1 model" if count == 1 else f"{count:,} models"


_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1))
_LONG_AGO = 30 * _DAY


def ago(at: str, now: int) -> str:
    """``3 h ago``, of a registry's time and ns since the epoch; its date after thirty days."""
    return ago_ns(int(datetime.fromisoformat(at).timestamp() * 1e9), now)


def ago_ns(at: int, now: int) -> str:
    """The same of a time in ns since the epoch."""
    seconds = (now - at) // 1_000_000_000
    distance = abs(seconds)
    if distance >= _LONG_AGO:
        return _date(at)
    return f"{_roughly(distance)} ago" if seconds >= 0 else f"in {_until(distance)}"


def _roughly(seconds: int) -> str:
    """``2 d``: whole ones of the largest unit."""
    unit, size = next((one for one in _UNITS if seconds >= one[1]), _UNITS[-1])
    return f"{seconds // size} {unit}"


def _until(seconds: int) -> str:
    """``2 d 23 h``: what is to come is counted on, and 2 d may not stand for almost three."""
    part = next((size for size in (_DAY, _HOUR) if seconds >= size), None)
    rest = seconds % part if part else 0
    # Of the next unit alone: of minutes beside days nobody cares.
    is_told = part is not None and rest >= (_HOUR if part == _DAY else _MINUTE)
    return f"{_roughly(seconds)} {_roughly(rest)}" if is_told else _roughly(seconds)


def _date(at: int) -> str:
    """A file's mtime may be any number, also one that no calendar holds."""
    try:
        moment = datetime.fromtimestamp(at / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return "?"
    return f"{moment.year:04d}-{moment:%m-%d}"


def count(number: int | None) -> str:
    """``5,281``; nothing where it is unknown."""
    return "" if number is None else f"{number:,}"


def minute(at: str) -> str:
    """``2026-01-31 23:59`` UTC of a registry's time."""
    return at[:16].replace("T", " ")


def route(row: Row) -> str:
    return f"{row['from_path']} → {row['path']}" if row["from_path"] else row["path"]

"""What every table is made of: cells, columns that fit the terminal, sizes and times.

Control characters in names are made visible, so that no name can move the cursor.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions
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


_LONG = {"path": 24, "why": 12, "value": 12}
"""Columns that wrap rather than vanish on a narrow terminal -> their least width."""


def new_table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            overflow="fold" if name in _LONG else "ellipsis",
            no_wrap=name not in _LONG,
            min_width=_LONG.get(name, 1),
        )
    return table


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, left out where the terminal is narrower than ``from_width``."""

    name: str
    cell: Callable[[Row], Text]
    right: bool = False
    from_width: int = 0


@dataclass(frozen=True, slots=True)
class Fitting:
    """A table whose columns fit the terminal: some are left out rather than all cut short."""

    columns: Sequence[Column]
    rows: Sequence[Row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        shown = [one for one in self.columns if one.from_width <= options.max_width]
        table = new_table(*(c.name for c in shown), right=[c.name for c in shown if c.right])
        for row in self.rows:
            table.add_row(*(column.cell(row) for column in shown))
        yield table


def state_cell(row: Row) -> Text:
    return Text(row["state"], style=_STATE_STYLES.get(State(row["state"]), ""))


def cell(value: object) -> Text:
    return Text("" if value is None else visible(value))


def count_models(count: int) -> str:
    return "1 model" if count == 1 else f"{count:,} models"


def minute(at: str) -> str:
    """``2026-01-31 23:59`` UTC of a registry's time."""
    return at[:16].replace("T", " ")


def route(row: Row) -> str:
    return f"{row['from_path']} → {row['path']}" if row["from_path"] else row["path"]

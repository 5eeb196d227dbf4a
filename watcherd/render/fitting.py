"""A long table that fits the terminal, and is printed as fast as its rows are read.

rich's own table measures and wraps every cell as if it were prose: a millisecond a row. Here only
what is too wide is wrapped.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from watcherd.render.cells import LONG, Row, shorn

_BETWEEN = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, left out where the terminal is narrower than ``from_width``.

    Those that ``cells.LONG`` names wrap where they must; others are cut short.
    """

    name: str
    cell: Callable[[Row], Text]
    right: bool = False
    from_width: int = 0


@dataclass(frozen=True, slots=True)
class Fitting:
    """A table whose columns fit the terminal: rather than cutting all short, some columns are left
    out, as are those that are empty in every row."""

    columns: Sequence[Column]
    rows: Sequence[Row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        wanted = [one for one in self.columns if one.from_width <= options.max_width]
        shown, cells = _telling(wanted, [[one.cell(row) for one in wanted] for row in self.rows])
        room = options.max_width - len(_BETWEEN) * (len(shown) - 1)
        widths = _widths(shown, cells, room)
        titles = [Text(column.name, style="bold") for column in shown]
        yield from _line(console, shown, widths, titles)
        rule = "─" * (sum(widths) + len(_BETWEEN) * (len(shown) - 1))
        yield Segment(f"{rule}\n")
        for row in cells:
            yield from _line(console, shown, widths, row)


def _telling(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]]
) -> tuple[Sequence[Column], Sequence[Sequence[Text]]]:
    """The columns that are not empty in every row, and the rows without the others."""
    told = [at for at in range(len(columns)) if any(row[at].plain for row in rows)]
    if len(told) == len(columns):
        return columns, rows
    return [columns[at] for at in told], [[row[at] for at in told] for row in rows]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Text]], room: int) -> list[int]:
    """As wide as the widest cell; if that is too much, the widest columns shrink, long ones
    first."""
    widths = [
        max(cell_len(column.name), *(cell_len(row[at].plain) for row in rows))
        for at, column in enumerate(columns)
    ]
    least = [LONG.get(column.name, width) for column, width in zip(columns, widths, strict=True)]
    while sum(widths) > room:
        free = [at for at, width in enumerate(widths) if width > least[at]]
        free = free or [at for at, width in enumerate(widths) if width > 1]
        if not free:
            break  # narrower than its columns are many: no terminal is
        widths[max(free, key=widths.__getitem__)] -= 1
    return widths


def _line(
    console: Console, columns: Sequence[Column], widths: Sequence[int], row: Sequence[Text]
) -> Iterator[Segment]:
    """One row: several lines where a long cell wraps."""
    styles = [console.get_style(cell.style) if cell.style else Style.null() for cell in row]
    folded = [
        _fold(column, cell, width) for column, cell, width in zip(columns, row, widths, strict=True)
    ]
    for at in range(max(map(len, folded))):
        line = [
            Segment(_padded(column, lines[at] if at < len(lines) else "", width) + _BETWEEN, style)
            for column, lines, width, style in zip(columns, folded, widths, styles, strict=True)
        ]
        yield from shorn(line)
        yield Segment.line()


def _fold(column: Column, cell: Text, width: int) -> list[str]:
    plain = cell.plain
    if len(plain) <= width and (plain.isascii() or cell_len(plain) <= width):
        return [plain]
    if column.name in LONG:
        return _wrap(plain, width)
    return [set_cell_size(plain, width - 1) + "…"]


def _wrap(text: str, width: int) -> list[str]:
    """Lines that end with a word; within one only where no line holds it."""
    lines = [""]
    for piece in _pieces(text, width):
        if lines[-1] and cell_len(lines[-1] + piece) > width:
            lines.append("")
        lines[-1:] = chop_cells(lines[-1] + piece if lines[-1] else piece.lstrip(), width)
    return lines


def _pieces(text: str, width: int) -> Iterator[str]:
    """Words, with the space before them; of a path that no line holds, its folders."""
    for word in re.findall(r"\s*\S+", text):
        yield from [word] if cell_len(word.strip()) <= width else re.findall(r"[^/]+/?|/", word)


def _padded(column: Column, text: str, width: int) -> str:
    space = " " * (width - (len(text) if text.isascii() else cell_len(text)))
    return space + text if column.right else text + space

"""``config show``."""

import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Row, cell
from watcherd.render.fitting import Column, Fitting

_COLUMNS = (
    Column("key", lambda row: cell(row["key"])),
    Column("value", lambda row: cell(_told(row["value"]))),
    Column("from", lambda row: cell(row["from"])),
)


def settings_table(rows: Sequence[Row], source: str) -> RenderableType:
    """Every setting in force, and where it comes from; ``source`` is the file, or ``defaults``."""
    file = "no file was read" if source == "defaults" else f"file: {visible(source)}"
    return Group(Fitting(_COLUMNS, rows), Text(file, style="dim"))


def _told(value: object) -> object:
    """Text as it is; all else, and no text, as JSON has it."""
    return (
        value
        if isinstance(value, str) and value
        else json.dumps(value, ensure_ascii=False, default=str)
    )

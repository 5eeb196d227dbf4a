"""``config show``."""

import json
from collections.abc import Sequence

from rich.console import RenderableType

from watcherd.render.cells import Row, cell, new_table


def settings_table(rows: Sequence[Row]) -> RenderableType:
    """Every setting in force, and where it comes from."""
    table = new_table("key", "value", "from")
    for row in rows:
        table.add_row(cell(row["key"]), cell(_told(row["value"])), cell(row["from"]))
    return table


def _told(value: object) -> object:
    """Text as it is; all else, and no text, as JSON has it."""
    return (
        value
        if isinstance(value, str) and value
        else json.dumps(value, ensure_ascii=False, default=str)
    )

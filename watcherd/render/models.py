"""``list`` and ``show``."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from watcherd.render.cells import (
    Column,
    Fitting,
    Row,
    cell,
    count_models,
    human_size,
    minute,
    new_table,
    state_cell,
)


def model_table(rows: Sequence[Row]) -> RenderableType:
    """The models that ``list`` found."""
    if not rows:
        return Text("no models", style="dim")
    columns = (
        Column("id", lambda row: cell(row["model_id"]), right=True),
        Column("path", lambda row: cell(row["path"])),
        Column("format", lambda row: cell(row["format"])),
        Column("state", state_cell),
        Column("step", lambda row: cell(row["step"]), right=True, from_width=90),
        Column("parameters", lambda row: cell(_count(row["parameters"])), True, 110),
        Column("optimizer", lambda row: cell(_optimizer(row)), from_width=110),
        Column("size", lambda row: cell(human_size(row["size_bytes"])), right=True),
        Column("modified", lambda row: cell(minute(row["modified_at"])), from_width=100),
    )
    total = human_size(sum(row["size_bytes"] for row in rows))
    return Group(Fitting(columns, rows), Text(f"{count_models(len(rows))}, {total}", style="dim"))


def model_card(row: Row) -> RenderableType:
    """Everything known of one model: what is unknown is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in row.items():
        if value in (None, "", [], {}) or key in ("folder", "files_seen"):
            continue
        table.add_row(key, state_cell(row) if key == "state" else cell(value))
    files = new_table("role", "path", "size", right=("size",))
    for one in row["files_seen"]:
        files.add_row(cell(one["role"]), cell(one["path"]), cell(human_size(one["size_bytes"])))
    return Group(table, Text(), files)


def _optimizer(row: Row) -> str | None:
    if row["optimizer_type"] is None:
        return None
    rate = row["learning_rate"]
    return row["optimizer_type"] if rate is None else f"{row['optimizer_type']} {rate:g}"


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"

"""``history``."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Column, Fitting, Row, cell, route


def history_table(rows: Sequence[Row]) -> RenderableType:
    """What happened, oldest first."""
    if not rows:
        return Text("nothing happened", style="dim")
    columns = (
        Column("at", lambda row: cell(row["at"][:19].replace("T", " "))),
        Column("verb", lambda row: cell(row["verb"])),
        Column("id", lambda row: cell(row["model_id"]), right=True),
        Column("path", lambda row: cell(route(row))),
        Column("cause", lambda row: cell(row["cause"]), from_width=110),
        Column("actor", lambda row: cell(row["actor"]), from_width=110),
        Column("why", lambda row: cell(_why(row["details"] or {})), from_width=90),
    )
    return Fitting(columns, rows)


def _why(details: Row) -> str:
    return "; ".join(
        [*([details["reason"]] if "reason" in details else []), *details.get("reasons", [])]
    )


def history_line(row: Row) -> str:
    """One line of ``history --follow``."""
    return f"{row['at']}  {row['verb']:<11} {row['model_id'] or '':>6}  {visible(route(row))}"

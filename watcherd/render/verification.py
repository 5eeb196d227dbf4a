"""``verify``."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Row, cell, count_models
from watcherd.render.fitting import Column, Fitting

_STYLES = {"opened": "green", "failed": "red"}


def verified_text(rows: Sequence[Row]) -> RenderableType:
    """What TensorFlow could not open and why, and what it could, counted; one model in a line."""
    if len(rows) == 1:
        return _line(rows[0])
    columns = (
        Column("id", lambda row: cell(row["model_id"]), right=True),
        Column("path", lambda row: cell(row["path"])),
        Column("answer", _answer),
        Column("why", lambda row: cell(row["reason"])),
    )
    told = [row for row in rows if row["answer"] != "opened"]
    tables = [Fitting(columns, told)] if told else []
    return Group(*tables, Text(_total(rows), style="dim"))


def _answer(row: Row) -> Text:
    answer = row["answer"] or "not asked"
    return Text(answer, style=_STYLES.get(answer, "yellow"))


def _line(row: Row) -> Text:
    name, said = visible(row["path"]), _answer(row)
    by = f" by {row['judge']}" if row["judge"] and row["answer"] in ("opened", "failed") else ""
    why = f": {visible(row['reason'])}" if row["reason"] else ""
    return Text.assemble(f"{name}: ", said, f"{by}{why}")


def _total(rows: Sequence[Row]) -> str:
    if not rows:
        return "no present model is left to verify; --again opens those that were"
    counts: Counter[Any] = Counter(row["answer"] or "not asked" for row in rows)
    told = ", ".join(f"{count:,} {answer}" for answer, count in counts.most_common())
    judge = next((row["judge"] for row in rows if row["judge"]), None)
    return f"{count_models(len(rows))}: {told}{f'; {judge}' if judge else ''}"

"""``history``."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Row, ago, cell, count_models, minute, route
from watcherd.render.fitting import Column, Fitting
from watcherd.render.marks import told_mark

_STYLES = {
    "registered": "green",
    "returned": "green",
    "restored": "green",
    "completed": "green",
    "updated": "cyan",
    "moved": "cyan",
    "incomplete": "yellow",
    "unreadable": "red",
    "missing": "dim",
    "pruned": "magenta",
    "deleted": "magenta",
    "purged": "magenta",
}
"""By verb; what is said of a model (pinned, tagged, ...) is plain."""


def history_table(rows: Sequence[Row], *, now: int, is_cut: bool = False) -> RenderableType:
    """What happened, oldest first; ``now`` in ns since the epoch.

    ``is_cut``: there was more before these rows.
    """
    if not rows:
        return Text("nothing happened", style="dim")
    columns = (
        Column("at", lambda row: cell(row["at"][:19].replace("T", " ")), from_width=140),
        Column("when", lambda row: cell(ago(row["at"], now)), right=True),
        Column("verb", lambda row: Text(row["verb"], style=_STYLES.get(row["verb"], ""))),
        Column("id", lambda row: cell(row["model_id"]), right=True),
        Column("path", lambda row: cell(route(row))),
        Column("cause", lambda row: cell(row["cause"]), from_width=110),
        Column("actor", lambda row: cell(row["actor"]), from_width=110),
        Column("why", lambda row: cell(_why(row)), from_width=80),
    )
    return Group(Fitting(columns, rows), Text(_total(rows, is_cut), style="dim"))


def _total(rows: Sequence[Row], is_cut: bool) -> str:
    counts = Counter(row["verb"] for row in rows).most_common()
    told = ", ".join(f"{number:,} {verb}" for verb, number in counts)
    return f"the newest {len(rows):,}: {told}; --limit N shows more" if is_cut else told


def _why(row: Row) -> str:
    details = row["details"] or {}
    if row["verb"] == "compacted":
        return _compacted(details, is_of_model=row["model_id"] is not None)
    return "; ".join(
        [
            *([details["reason"]] if "reason" in details else []),
            *details.get("reasons", []),
            *filter(None, [told_mark(details)]),
        ]
    )


def _compacted(details: Row, *, is_of_model: bool) -> str:
    if is_of_model:
        return f"{details['state']}; stands for what was here before"
    models, lines = details["models"], details["lines"]
    of_history = f"{lines:,} {'line' if lines == 1 else 'lines'} of the history"
    told = [*([count_models(models)] if models else []), of_history]
    return f"dropped {' and '.join(told)}, older than {minute(details['before'])}"


def history_line(row: Row) -> str:
    """One line of ``history --follow``."""
    what = _why(row)
    line = f"{row['at']}  {row['verb']:<11} {row['model_id'] or '':>6}  {visible(route(row))}"
    return f"{line}  {visible(what)}" if what else line

"""``list``."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import (
    Row,
    ago,
    cell,
    count,
    count_models,
    human_size,
    state_cell,
)
from watcherd.render.fitting import Column, Fitting


def model_table(
    rows: Sequence[Row],
    *,
    now: int,
    metrics: Sequence[str] = (),
    found: tuple[int, int] | None = None,
) -> RenderableType:
    """The models that ``list`` found, with a column for each metric that was asked about.

    ``now`` in ns since the epoch; ``found`` are how many there are and their bytes, where the rows
    are only the first of them.
    """
    if not rows:
        return Text("no models", style="dim")
    columns = (
        Column("id", lambda row: cell(row["model_id"]), right=True),
        Column("path", lambda row: cell(row["path"])),
        *map(_metric, metrics),
        Column("state", state_cell),
        Column("format", lambda row: cell(row["format"]), from_width=90),
        Column("step", lambda row: cell(count(row["step"])), right=True, from_width=90),
        Column("parameters", lambda row: cell(count(row["parameters"])), True, 110),
        Column("optimizer", lambda row: cell(_optimizer(row)), from_width=110),
        Column("size", lambda row: cell(human_size(row["size_bytes"])), right=True),
        Column("modified", lambda row: cell(ago(row["modified_at"], now)), right=True),
    )
    return Group(Fitting(columns, rows), Text(_total(rows, found), style="dim"))


def _metric(name: str) -> Column:
    def value(row: Row) -> Text:
        found = row["results"].get(name)
        return cell(None if found is None else f"{found:.4g}")

    return Column(visible(name), value, right=True)


def _optimizer(row: Row) -> str | None:
    if row["optimizer_type"] is None:
        return None
    rate = row["learning_rate"]
    return row["optimizer_type"] if rate is None else f"{row['optimizer_type']} {rate:g}"


def _total(rows: Sequence[Row], found: tuple[int, int] | None) -> str:
    size = sum(row["size_bytes"] for row in rows)
    if found is None:
        return f"{count_models(len(rows))}, {human_size(size)}"
    models, size_bytes = found
    return (
        f"the first {len(rows):,} of {count_models(models)}, {human_size(size_bytes)}"
        " in all; --limit N shows more"
    )


def group_table(rows: Sequence[Row], keys: Sequence[str]) -> RenderableType:
    """What ``list --by`` counted."""
    if not rows:
        return Text("no models", style="dim")
    columns = (
        *map(_key, keys),
        Column("models", lambda row: cell(count(row["models"])), right=True),
        Column("size", lambda row: cell(human_size(row["size_bytes"])), right=True),
    )
    models, size = (sum(row[name] for row in rows) for name in ("models", "size_bytes"))
    groups = "1 group" if len(rows) == 1 else f"{len(rows):,} groups"
    total = f"{groups}: {count_models(models)}, {human_size(size)}"
    return Group(Fitting(columns, rows), Text(total, style="dim"))


def _key(name: str) -> Column:
    return Column(name, lambda row: cell("–" if row[name] is None else row[name]))

"""``ensemble``: who is in which, and what became of those that were to be."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Row, cell, count_models, human_size
from watcherd.render.fitting import Column, Fitting


def members_text(rows: Sequence[Row]) -> RenderableType:
    """What lies in ensembles, for people."""
    if not rows:
        return Text(
            "no copies in ensembles: watcherd ensemble add MODEL --type ensemble_average makes one",
            style="dim",
        )
    columns = (
        Column("interval", lambda row: cell(row["interval"] or "–"), from_width=80),
        Column("ticker", lambda row: cell(row["ticker"] or "–"), from_width=80),
        Column("ensemble", lambda row: cell(row["ensemble_type"])),
        Column("id", lambda row: cell(row["model_id"] or row["copy_id"]), right=True),
        Column("model", lambda row: cell(row["path"] or row["copy_path"])),
        Column("size", lambda row: cell(human_size(row["size_bytes"])), right=True, from_width=100),
        Column("copy", _standing),
    )
    places = {(row["interval"], row["ticker"], row["ensemble_type"]) for row in rows}
    ensembles = "1 ensemble" if len(places) == 1 else f"{len(places):,} ensembles"
    return Group(
        Fitting(columns, rows), Text(f"{count_models(len(rows))} in {ensembles}", style="dim")
    )


def _standing(row: Row) -> Text:
    """How a copy stands to its model."""
    if row["model_id"] is None:
        return Text("a model of its own: none has its name and content", style="yellow")
    if row["state"] != "present":
        return Text(f"its model is {row['state']}", style="yellow")
    return Text("same content") if row["same_content"] else Text("out of date", style="yellow")


def copied_text(outcome: Sequence[Row], kind: str) -> RenderableType:
    """What ``ensemble add`` did with ``kind``, the ensemble."""
    return Group(*(_copied(one, kind) for one in outcome))


def _copied(one: Row, kind: str) -> Text:
    name = visible(one["model"])
    if one["already"]:
        return Text(f"{name}: it is in {visible(kind)} already")
    if one["copied"]:
        return Text(f"{name}: copied to {visible(one['copy_path'])}")
    error = visible(one["error"])
    return Text(error if name in error else f"{name}: {error}", style="red")

"""``trash``, ``rm`` and ``restore``."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.plan import Purged
from watcherd.render.cells import Row, cell, count_models, human_size, minute, new_table
from watcherd.render.fitting import Column, Fitting

MOST = 20
"""Models that a purge names; JSON has them all."""

_DONE = {
    "restored": "back in its place{}, and pinned: no rule removes it",
    "removed": "moved to the trash{}",
}
_DONE_TO_COPIES = {"restored": "back in place", "removed": "moved to the trash"}


def trashed_text(rows: Sequence[Row]) -> RenderableType:
    """What is in the trash, for people."""
    if not rows:
        return Text("the trash is empty", style="dim")
    columns = (
        Column("id", lambda row: cell(row["model_id"]), right=True),
        Column("path", lambda row: cell(row["path"])),
        Column("size", lambda row: cell(human_size(row["size_bytes"])), right=True),
        Column("trashed", lambda row: cell(minute(row["trashed_at"])), from_width=100),
        Column("until", lambda row: cell(minute(row["expires_at"]))),
        Column("why", lambda row: cell("; ".join(row["reasons"]))),
    )
    total = human_size(sum(row["size_bytes"] for row in rows))
    told = f"{count_models(len(rows))}, {total}; watcherd restore MODEL brings one back"
    return Group(Fitting(columns, rows), Text(told, style="dim"))


def _failed(one: Row) -> str:
    """The error names the model by its path; said once, where that is how it was called."""
    name, error = visible(one["model"]), visible(one["error"])
    return error if name in error else f"{name}: {error}"


def emptied(purged: Sequence[Purged], failed: Mapping[str, str]) -> dict[str, Any]:
    """What a purge did, as JSON."""
    return {
        "purged": [one._asdict() for one in purged],
        "failed": dict(failed),
        "bytes_freed": sum(one.bytes_freed for one in purged),
    }


def emptied_text(said: Row) -> RenderableType:
    """The same for people."""
    parts: list[RenderableType] = []
    if said["purged"]:
        table = new_table("id", "path", "size", "why", right=("id", "size"))
        for one in said["purged"][:MOST]:
            size = human_size(one["bytes_freed"])
            table.add_row(cell(one["model_id"]), cell(one["path"]), cell(size), cell(one["reason"]))
        if rest := len(said["purged"][MOST:]):
            table.add_row(Text("…"), cell(f"{rest:,} more"))
        parts.append(table)
    parts += unpurged(said["failed"])
    freed = human_size(said["bytes_freed"])
    parts.append(Text(f"{count_models(len(said['purged']))} purged for good, {freed} freed"))
    return Group(*parts)


def unpurged(failed: Mapping[str, str]) -> list[RenderableType]:
    """What is still in the trash, against what was meant, and why."""
    return [
        Text(f"still in the trash: {visible(path)}: {visible(why)}", style="red")
        for path, why in failed.items()
    ]


def moved_text(outcome: Sequence[Row], done: str, themselves: Collection[int]) -> RenderableType:
    """What ``rm``, ``restore`` and ``ensemble remove`` did; ``done`` is the key that says so.

    ``themselves``: the models that moved, and not their copies alone.
    """
    return Group(*(_moved(one, done, one["model_id"] in themselves) for one in outcome))


def _moved(one: Row, done: str, itself: bool) -> Text:
    if not one[done]:
        return Text(_failed(one), style="red")
    copies = _named(one["copies"])
    if itself or not copies:
        told = _DONE[done].format(f", with {copies}" if copies else "")
    else:
        told = f"{copies} {_DONE_TO_COPIES[done]}"
    return Text(f"{visible(one['model'])}: {told}")


def _named(copies: Sequence[str]) -> str:
    words = "its copy" if len(copies) == 1 else "its copies"
    return f"{words} {', '.join(map(visible, copies))}" if copies else ""

"""``pin``, ``tag``, ``alias``, ``note`` and ``record``; and what history tells of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Row


def marked_text(outcome: Sequence[Row]) -> RenderableType:
    """What became of each model."""
    return Group(*map(_line, outcome))


def recorded_text(said: Row) -> RenderableType:
    """What ``record`` did."""
    told = told_values(said["recorded"])
    return Text(f"{visible(said['model'])}: {f'recorded {told}' if told else 'recorded already'}")


def told_values(results: Mapping[str, float]) -> str:
    """``sharpe 1.31, val_loss 0.07``."""
    return ", ".join(f"{visible(metric)} {value:g}" for metric, value in results.items())


def _line(row: Mapping[str, Any]) -> Text:
    name = visible(row["model"])
    if row["error"]:
        return Text(f"{name}: {visible(row['error'])}", style="red")
    return Text(f"{name}: {visible(row['said'])}", style="" if row["changed"] else "dim")


def told_mark(details: Mapping[str, Any]) -> str:
    """What a line of the history says of a mark, a result, or of what an overwrite cost."""
    told = []
    if "key" in details:
        value = details.get("value")
        told.append(details["key"] if value is None else f"{details['key']}={value}")
    if "alias" in details:
        told.append(details["alias"])
    if "note" in details:
        told.append(details["note"] or "removed")
    if "results" in details:
        told.append(told_values(details["results"]))
    if "copy" in details:
        told.append(details["copy"])
    if "lost" in details:
        told.append(f"lost {told_loss(details['lost'])}")
    return "; ".join(told)


def told_loss(lost: Mapping[str, Any]) -> str:
    """``sharpe 1.31, alias champion, pinned, tag best``."""
    return ", ".join(
        [
            *([told_values(lost["results"])] if "results" in lost else []),
            *(f"alias {name}" for name in lost.get("aliases", ())),
            *(["pinned"] if lost.get("pinned") else []),
            *(f"tag {key}" for key in lost.get("tags", ())),
        ]
    )

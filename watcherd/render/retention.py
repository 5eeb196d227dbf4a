"""``prune`` and ``restore``."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.plan import Verdict
from watcherd.render.cells import (
    Row,
    cell,
    count_models,
    human_size,
    new_table,
)


def pruned(
    verdicts: Sequence[Verdict], failed: Sequence[tuple[Verdict, str]], *, dry_run: bool
) -> dict[str, Any]:
    """What was decided and done, as JSON."""
    why_failed = {verdict.candidate.model_id: why for verdict, why in failed}
    gone = [v for v in verdicts if not v.keep and v.candidate.model_id not in why_failed]
    return {
        "verdicts": [
            {
                "model_id": verdict.candidate.model_id,
                "path": verdict.candidate.path,
                "family": verdict.candidate.family,
                "verdict": "keep" if verdict.keep else "remove",
                "reasons": list(verdict.reasons),
                "size_bytes": verdict.candidate.size_bytes,
                "error": why_failed.get(verdict.candidate.model_id),
            }
            for verdict in verdicts
        ],
        "dry_run": dry_run,
        "kept": sum(verdict.keep for verdict in verdicts),
        "removed": len(gone),
        "failed": len(failed),
        "bytes_freed": sum(verdict.candidate.size_bytes for verdict in gone),
    }


def pruned_text(said: Row) -> RenderableType:
    """The same for people, a table a family; families that lose nothing are counted only."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for one in said["verdicts"]:
        groups[one["family"]].append(one)
    losing = {
        family: members
        for family, members in groups.items()
        if any(one["verdict"] == "remove" for one in members)
    }
    parts: list[RenderableType] = [
        part for family, members in losing.items() for part in _family(family, members)
    ]
    verb = "would be moved to the trash" if said["dry_run"] else "moved to the trash"
    freed = human_size(said["bytes_freed"])
    parts.append(
        Text(f"{count_models(said['removed'])} {verb}, {freed}; {count_models(said['kept'])} kept")
    )
    if said["failed"]:
        parts.append(Text(f"{said['failed']} could not be moved", style="red"))
    return Group(*parts)


def _family(family: str, members: Sequence[Row]) -> tuple[RenderableType, ...]:
    table = new_table("", "id", "path", "size", "why", right=("id", "size"))
    for one in members:
        remove = one["verdict"] == "remove"
        table.add_row(
            Text("remove" if remove else "keep", style="red" if remove else "green"),
            cell(one["model_id"]),
            cell(one["path"].rpartition("/")[2]),
            cell(human_size(one["size_bytes"])),
            cell("; ".join([*one["reasons"], *([one["error"]] if one["error"] else [])])),
        )
    return Text(visible(family), style="bold"), table, Text()


def restored_text(outcome: Sequence[Row]) -> RenderableType:
    """What ``restore`` did."""
    return Group(
        *(
            Text(f"{visible(one['model'])}: back in its place, and pinned")
            if one["restored"]
            else Text(f"{visible(one['model'])}: {one['error']}", style="red")
            for one in outcome
        )
    )

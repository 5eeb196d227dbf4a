"""``prune``: a table for each family that loses something, then what was done."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.plan import UNRULED, Purged, Verdict
from watcherd.render.cells import Row, cell, count_models, human_size, new_table
from watcherd.render.cycles import unseen
from watcherd.render.trash import unpurged

MOST = 20
"""Models of one verdict that a family's table shows; JSON has them all."""


def pruned(
    verdicts: Iterable[Verdict],
    failed: Sequence[tuple[Verdict, str]],
    purged: Sequence[Purged],
    unpurged: Mapping[str, str],
    *,
    blind: Mapping[str, str],
    dry_run: bool,
) -> dict[str, Any]:
    """What was decided and done, as JSON."""
    why_failed = {verdict.candidate.model_id: why for verdict, why in failed}
    ordered = sorted(verdicts, key=_newest_first_of_each)
    told = [_told(one, why_failed.get(one.candidate.model_id)) for one in ordered]
    gone = [one for one in told if one["verdict"] == "remove" and one["error"] is None]
    return {
        "verdicts": told,
        "dry_run": dry_run,
        "kept": sum(one["verdict"] == "keep" for one in told),
        "removed": len(gone),
        "failed": len(failed),
        "bytes_freed": sum(one["size_bytes"] for one in gone),
        "purged": len(purged),
        "bytes_purged": sum(one.bytes_freed for one in purged),
        "unpurged": dict(unpurged),
        "blind": dict(blind),
    }


def _newest_first_of_each(verdict: Verdict) -> tuple[str, int, int]:
    one = verdict.candidate
    return one.family, -one.modified_ns, -(one.step or 0)


def _told(verdict: Verdict, error: str | None) -> Row:
    one = verdict.candidate
    return {
        "model_id": one.model_id,
        "path": one.path,
        "family": one.family,
        "step": one.step,
        "verdict": "keep" if verdict.keep else "remove",
        "reasons": list(verdict.reasons),
        "size_bytes": one.size_bytes,
        "error": error,
    }


def pruned_text(said: Row) -> RenderableType:
    """The same for people; families that lose nothing are counted only."""
    families: defaultdict[str, list[Row]] = defaultdict(list)
    for one in said["verdicts"]:
        families[one["family"]].append(one)
    parts: list[RenderableType] = []
    for family, members in families.items():
        if any(one["verdict"] == "remove" for one in members):
            parts += _family(family, members, would=said["dry_run"])
    return Group(*parts, *_summary(said))


def _family(family: str, members: Sequence[Row], *, would: bool) -> Iterator[RenderableType]:
    kept = [one for one in members if one["verdict"] == "keep"]
    going = [one for one in members if one["verdict"] == "remove"]
    yield Text(visible(family), style="bold")
    table = new_table("", "id", "name", "size", "why", right=("id", "size"))
    for verdict, some in (("keep", kept), ("remove", going)):
        for one in some[:MOST]:
            table.add_row(_verdict(verdict), *_cells(one))
        if len(some) > MOST:
            rest = some[MOST:]
            size = human_size(sum(one["size_bytes"] for one in rest))
            table.add_row(_verdict(verdict), Text("…"), cell(f"{len(rest):,} more"), cell(size))
    yield table
    yield Text(_sums(kept, going, would=would), style="dim")
    yield Text()


def _verdict(verdict: str) -> Text:
    return Text(verdict, style="red" if verdict == "remove" else "green")


def _cells(one: Row) -> tuple[Text, ...]:
    why = cell("; ".join(one["reasons"]))
    if one["error"]:
        why.append(f"\nnot moved: {visible(one['error'])}", style="red")
    size = cell(human_size(one["size_bytes"]))
    return cell(one["model_id"]), cell(one["path"].rpartition("/")[2]), size, why


def _sums(kept: Sequence[Row], going: Sequence[Row], *, would: bool) -> str:
    moved = [one for one in going if one["error"] is None]
    verb = "would go" if would else "gone"
    return f"{_sum(kept)} kept, {_sum(moved)} {verb}"


def _sum(some: Sequence[Row]) -> str:
    return f"{len(some):,} ({human_size(sum(one['size_bytes'] for one in some))})"


def _nothing(verdicts: Sequence[Row]) -> str:
    is_ruled = any(UNRULED not in one["reasons"] for one in verdicts)
    return "nothing to prune" if is_ruled or not verdicts else f"nothing to prune, as {UNRULED}"


def _summary(said: Row) -> Iterator[RenderableType]:
    verb = "would be moved to the trash" if said["dry_run"] else "moved to the trash"
    freed, moved = human_size(said["bytes_freed"]), count_models(said["removed"])
    is_any = said["removed"] or said["failed"]
    done = f"{moved} {verb}, {freed}" if is_any else _nothing(said["verdicts"])
    yield Text(f"{done}; {count_models(said['kept'])} kept")
    if said["failed"]:
        yield Text(f"{count_models(said['failed'])} could not be moved", style="red")
    if said["purged"]:
        size = human_size(said["bytes_purged"])
        yield Text(f"{count_models(said['purged'])} purged from the trash, {size} freed")
    yield from unpurged(said["unpurged"])
    yield from unseen(said["blind"])

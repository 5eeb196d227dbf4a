"""``reconcile``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.plan import Change
from watcherd.render.cells import Row, cell, route
from watcherd.render.fitting import Column, Fitting


def reconciled(
    changes: Iterable[Change],
    *,
    settling: Iterable[str],
    blind: Mapping[str, str],
    seconds: float,
    dry_run: bool,
    counts: Mapping[str, int],
) -> dict[str, Any]:
    """What differed, as JSON: the first thousand changes one by one, all of them counted."""
    return {
        "counts": dict(counts),
        "changes": [
            {
                "verb": change.verb,
                "path": change.path,
                "from_path": change.from_path,
                "state": change.state,
                "reason": change.reason,
            }
            for change in changes
        ],
        "settling": sorted(settling),
        "blind": dict(blind),
        "seconds": round(seconds, 3),
        "dry_run": dry_run,
    }


_COLUMNS = (
    Column("what", lambda change: cell(change["verb"])),
    Column("path", lambda change: cell(route(change))),
    Column("why", lambda change: cell(change["reason"])),
)


def reconciled_text(said: Row) -> RenderableType:
    """The same for people."""
    lines: list[RenderableType] = []
    if said["changes"]:
        lines.append(Fitting(_COLUMNS, said["changes"]))
    lines += [Text(f"still changing: {visible(path)}", style="yellow") for path in said["settling"]]
    lines += unseen(said["blind"])
    lines.append(Text(_summary(said), style="dim"))
    return Group(*lines)


def unseen(blind: Mapping[str, str]) -> Iterator[Text]:
    """A line for each blind spot."""
    for path, why in blind.items():
        yield Text(f"not looked at: {visible(path) or 'the root'}: {why}", style="yellow")


def _summary(said: Row) -> str:
    counts = said["counts"]
    if not counts:
        unclear = said["settling"] or said["blind"]
        what = "nothing else differs" if unclear else "registry and disk agree"
        return f"{what} ({said['seconds']} s)"
    told = ", ".join(f"{count} {verb}" for verb, count in sorted(counts.items()))
    return f"{told} ({'nothing was written' if said['dry_run'] else str(said['seconds']) + ' s'})"

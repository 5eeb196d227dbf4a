"""Values → what people read (rich tables and text) and what scripts read (plain JSON values).

Pure. Control characters in names are made visible, so that no name can move the cursor.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from watcherd.errors import visible
from watcherd.plan import Change, State, Verdict

Row = Mapping[str, Any]

_STATE_STYLES = {
    State.PRESENT: "green",
    State.INCOMPLETE: "yellow",
    State.UNREADABLE: "red",
    State.MISSING: "dim",
    State.TRASHED: "magenta",
    State.DELETED: "dim",
}


# -- small things ----------------------------------------------------------------------------------


def human_size(count: int) -> str:
    """``34 kB``: three digits at most, units of 1,000."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError  # the last unit always returns


_LONG = {"path": 24, "why": 12, "value": 12}
"""Columns that wrap rather than vanish on a narrow terminal -> their least width."""


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            overflow="fold" if name in _LONG else "ellipsis",
            no_wrap=name not in _LONG,
            min_width=_LONG.get(name, 1),
        )
    return table


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of a table, left out where the terminal is narrower than ``from_width``."""

    name: str
    cell: Callable[[Row], Text]
    right: bool = False
    from_width: int = 0


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A table whose columns fit the terminal: some are left out rather than all cut short."""

    columns: Sequence[_Column]
    rows: Sequence[Row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        shown = [one for one in self.columns if one.from_width <= options.max_width]
        table = _table(*(c.name for c in shown), right=[c.name for c in shown if c.right])
        for row in self.rows:
            table.add_row(*(column.cell(row) for column in shown))
        yield table


def _state(row: Row) -> Text:
    return Text(row["state"], style=_STATE_STYLES.get(State(row["state"]), ""))


def _cell(value: object) -> Text:
    return Text("" if value is None else visible(value))


# -- models ----------------------------------------------------------------------------------------


def model_table(rows: Sequence[Row]) -> RenderableType:
    """The models that ``list`` found."""
    if not rows:
        return Text("no models", style="dim")
    columns = (
        _Column("id", lambda row: _cell(row["model_id"]), right=True),
        _Column("path", lambda row: _cell(row["path"])),
        _Column("format", lambda row: _cell(row["format"])),
        _Column("state", _state),
        _Column("step", lambda row: _cell(row["step"]), right=True, from_width=90),
        _Column("parameters", lambda row: _cell(_count(row["parameters"])), True, 110),
        _Column("optimizer", lambda row: _cell(_optimizer(row)), from_width=110),
        _Column("size", lambda row: _cell(human_size(row["size_bytes"])), right=True),
        _Column("modified", lambda row: _cell(_minute(row["modified_at"])), from_width=100),
    )
    total = human_size(sum(row["size_bytes"] for row in rows))
    return Group(_Fitting(columns, rows), Text(f"{_models(len(rows))}, {total}", style="dim"))


def model_card(row: Row) -> RenderableType:
    """Everything known of one model: what is unknown is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in row.items():
        if value in (None, "", [], {}) or key in ("folder", "files_seen"):
            continue
        table.add_row(key, _state(row) if key == "state" else _cell(value))
    files = _table("role", "path", "size", right=("size",))
    for one in row["files_seen"]:
        files.add_row(_cell(one["role"]), _cell(one["path"]), _cell(human_size(one["size_bytes"])))
    return Group(table, Text(), files)


def _optimizer(row: Row) -> str | None:
    if row["optimizer_type"] is None:
        return None
    rate = row["learning_rate"]
    return row["optimizer_type"] if rate is None else f"{row['optimizer_type']} {rate:g}"


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count:,} models"


def _minute(at: str) -> str:
    """``2026-01-31 23:59`` UTC of a registry's time."""
    return at[:16].replace("T", " ")


# -- history ---------------------------------------------------------------------------------------


def history_table(rows: Sequence[Row]) -> RenderableType:
    """What happened, oldest first."""
    if not rows:
        return Text("nothing happened", style="dim")
    columns = (
        _Column("at", lambda row: _cell(row["at"][:19].replace("T", " "))),
        _Column("verb", lambda row: _cell(row["verb"])),
        _Column("id", lambda row: _cell(row["model_id"]), right=True),
        _Column("path", lambda row: _cell(_where(row))),
        _Column("cause", lambda row: _cell(row["cause"]), from_width=110),
        _Column("actor", lambda row: _cell(row["actor"]), from_width=110),
        _Column("why", lambda row: _cell(_why(row["details"] or {})), from_width=90),
    )
    return _Fitting(columns, rows)


def _why(details: Row) -> str:
    return "; ".join(
        [*([details["reason"]] if "reason" in details else []), *details.get("reasons", [])]
    )


def history_line(row: Row) -> str:
    """One line of ``history --follow``."""
    return f"{row['at']}  {row['verb']:<11} {row['model_id'] or '':>6}  {visible(_where(row))}"


def _where(row: Row) -> str:
    return f"{row['from_path']} → {row['path']}" if row["from_path"] else row["path"]


# -- reconcile -------------------------------------------------------------------------------------


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


def reconciled_text(said: Row) -> RenderableType:
    """The same for people."""
    lines: list[RenderableType] = []
    if said["changes"]:
        table = _table("what", "path", "why")
        for change in said["changes"]:
            table.add_row(_cell(change["verb"]), _cell(_where(change)), _cell(change["reason"]))
        lines.append(table)
    lines += [Text(f"still changing: {visible(path)}", style="yellow") for path in said["settling"]]
    lines += [
        Text(f"not looked at: {visible(path) or 'the root'}: {why}", style="yellow")
        for path, why in said["blind"].items()
    ]
    lines.append(Text(_summary(said), style="dim"))
    return Group(*lines)


def _summary(said: Row) -> str:
    counts = said["counts"]
    if not counts:
        unclear = said["settling"] or said["blind"]
        what = "nothing else differs" if unclear else "registry and disk agree"
        return f"{what} ({said['seconds']} s)"
    told = ", ".join(f"{count} {verb}" for verb, count in sorted(counts.items()))
    return f"{told} ({'nothing was written' if said['dry_run'] else str(said['seconds']) + ' s'})"


# -- prune -----------------------------------------------------------------------------------------


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
    parts.append(Text(f"{_models(said['removed'])} {verb}, {freed}; {_models(said['kept'])} kept"))
    if said["failed"]:
        parts.append(Text(f"{said['failed']} could not be moved", style="red"))
    return Group(*parts)


def _family(family: str, members: Sequence[Row]) -> tuple[RenderableType, ...]:
    table = _table("", "id", "path", "size", "why", right=("id", "size"))
    for one in members:
        remove = one["verdict"] == "remove"
        table.add_row(
            Text("remove" if remove else "keep", style="red" if remove else "green"),
            _cell(one["model_id"]),
            _cell(one["path"].rpartition("/")[2]),
            _cell(human_size(one["size_bytes"])),
            _cell("; ".join([*one["reasons"], *([one["error"]] if one["error"] else [])])),
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


# -- the rest --------------------------------------------------------------------------------------


def settings_table(rows: Sequence[Row]) -> RenderableType:
    """Every setting in force, and where it comes from."""
    table = _table("key", "value", "from")
    for row in rows:
        table.add_row(_cell(row["key"]), _cell(row["value"]), _cell(row["from"]))
    return table


def status_text(said: Row) -> RenderableType:
    """How things stand."""
    daemon, root = said["daemon"], said["root"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("daemon", _daemon(daemon))
    suspended = root["suspended"]
    table.add_row(
        "root",
        Text(f"suspended: {visible(suspended)}", style="red") if suspended else _cell(root["path"]),
    )
    table.add_row("registry", _cell(said["registry"]))
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(said["models"].items()))
    table.add_row("models", counts or "none yet")
    if "coverage" in daemon:
        coverage = daemon["coverage"]
        table.add_row(
            "coverage", f"{coverage['watched']:,} of {coverage['folders']:,} folders watched"
        )
        table.add_row("backlog", str(daemon["backlog"]))
    if last := daemon.get("last_cycle"):
        told = ", ".join(f"{key} {value}" for key, value in last.items())
        table.add_row("last cycle", _cell(told))
    for path, why in said["blind"].items():
        table.add_row("blind spot", Text(f"{visible(path) or 'the root'}: {why}", style="yellow"))
    for path in said["settling"]:
        table.add_row("settling", _cell(path))
    for one in said["differing"]:
        table.add_row("differs", _cell(f"{one['path']} ({one['verb']})"))
    return table


def _daemon(daemon: Row) -> Text:
    if not daemon["running"]:
        return Text("not running", style="yellow")
    return Text(
        f"running, process {daemon.get('pid', '?')} since {_minute(daemon.get('started_at', ''))}",
        style="green",
    )

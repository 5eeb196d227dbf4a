"""``status``."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Row, ago, cell, count_models, human_size, minute
from watcherd.render.explain import Line, labelled, listed, survey_lines


def status_text(said: Row, *, now: int) -> RenderableType:
    """How things stand; ``now`` is in ns since the epoch."""
    return labelled(_lines(said, now))


def _lines(said: Row, now: int) -> Iterator[Line]:
    yield "daemon", _daemon(said["daemon"])
    yield "root", _root(said["root"])
    yield "registry", cell(said["registry"])
    if said["copy"]:
        yield "copy", _copy(said["copy"], now)
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(said["models"].items()))
    yield "models", Text(counts or "none yet")
    yield from _work(said["daemon"], said["schedule"], now)
    if said["trash"]:
        yield "trash", _trash(said["trash"], now)
    if said["disk"]:
        free, total = (human_size(said["disk"][key]) for key in ("free_bytes", "total_bytes"))
        yield "disk", Text(f"{free} of {total} free")
    if said["forecast"]:
        yield from _forecast(said["forecast"], now)
    yield from listed("blind spot", said["blind"])
    if said["survey"]:
        yield from survey_lines({**said["survey"], "blind": {}}, now)
    for path in said["settling"]:
        yield "settling", cell(path)
    for one in said["differing"]:
        yield "differs", cell(f"{one['path']} ({one['verb']})")


def _daemon(daemon: Row) -> Text:
    if not daemon["running"]:
        return Text("not running", style="yellow")
    if "pid" not in daemon:
        return Text(
            "probably running; it has said nothing yet that this user may read", style="yellow"
        )
    return Text(f"running, process {daemon['pid']} since {minute(daemon['started_at'])}", "green")


def _root(root: Row) -> Text:
    if root["suspended"]:
        return Text(f"suspended: {visible(root['suspended'])}", style="red")
    return cell(root["path"])


def _copy(copy: Row, now: int) -> Text:
    told = f"{human_size(copy['size_bytes'])}, {ago(copy['made_at'], now)}: "
    return Text(told + visible(copy["path"]))


def _work(daemon: Row, schedule: Row, now: int) -> Iterator[Line]:
    """What a running daemon says of its own work."""
    if "coverage" in daemon:
        watched, folders = (daemon["coverage"][key] for key in ("watched", "folders"))
        style = "" if watched >= folders else "yellow"
        yield "coverage", Text(f"{watched:,} of {folders:,} folders watched", style=style)
        yield "backlog", Text(f"{daemon['backlog']:,}")
    if last := daemon.get("last_cycle"):
        yield "last cycle", cell(", ".join(f"{key} {value}" for key, value in last.items()))
    due = [f"{job} {ago(at, now)}" for job, at in schedule.items() if at is not None]
    if due:
        yield "next", cell(", ".join(due))


def _trash(trash: Row, now: int) -> Text:
    if not trash["models"]:
        return Text("empty")
    told = f"{count_models(trash['models'])}, {human_size(trash['size_bytes'])}"
    expiry = trash["next_expiry"]
    first = f"; the first is purged {minute(expiry)}, {ago(expiry, now)}" if expiry else ""
    return Text(told + first)


def _forecast(ahead: Row, now: int) -> Iterator[Line]:
    """When the disk is full, and the figures that say so."""
    if ahead["bytes_per_day"] is None:
        yield "growth", Text(f"unknown yet: {ahead['why']}")
        return
    came, went = human_size(ahead["new_bytes"]), human_size(ahead["gone_bytes"])
    since = minute(ahead["since"])[:10]
    sign = "-" if ahead["bytes_per_day"] < 0 else ""
    rate = sign + human_size(abs(ahead["bytes_per_day"]))
    yield "growth", Text(f"{rate} a day: since {since} {came} came and stayed, {went} went")
    if ahead["full_at"] is None:
        yield "full", Text(f"never at this rate: {ahead['why']}")
        return
    yield "full", Text(f"{minute(ahead['full_at'])}, {ago(ahead['full_at'], now)}", style="yellow")
    yield "pruning", _pruning(ahead["pruned"], now)


def _pruning(pruned: Row, now: int) -> Text:
    """Whether the rules hold it back, and the figures that say so."""
    if pruned["holds"] is None:
        return Text(pruned["why"])
    kept, before, free = (
        human_size(pruned[key]) for key in ("kept_bytes", "kept_before_bytes", "removable_bytes")
    )
    figures = f"the rules keep {kept} now, {before} then; {free} can go"
    if pruned["holds"]:
        told = Text(f"prevents it: {figures}", style="green")
    else:
        full = f"{minute(pruned['full_at'])}, {ago(pruned['full_at'], now)}"
        told = Text(f"only delays it until {full}: {figures}", style="yellow")
    if pruned["why"]:
        told.append(f"\n{pruned['why']}", style="yellow")
    return told

"""``status``."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Row, cell, minute


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
        Text(f"suspended: {visible(suspended)}", style="red") if suspended else cell(root["path"]),
    )
    table.add_row("registry", cell(said["registry"]))
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
        table.add_row("last cycle", cell(told))
    for path, why in said["blind"].items():
        table.add_row("blind spot", Text(f"{visible(path) or 'the root'}: {why}", style="yellow"))
    for path in said["settling"]:
        table.add_row("settling", cell(path))
    for one in said["differing"]:
        table.add_row("differs", cell(f"{one['path']} ({one['verb']})"))
    return table


def _daemon(daemon: Row) -> Text:
    if not daemon["running"]:
        return Text("not running", style="yellow")
    return Text(
        f"running, process {daemon.get('pid', '?')} since {minute(daemon.get('started_at', ''))}",
        style="green",
    )

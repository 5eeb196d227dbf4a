"""``python -m benchmarks [NAME...]``: all benchmarks, or those named; one table."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import (
    asking,
    footprint,
    harm,
    latency,
    registering,
    retention,
    scale,
    starting,
    trashing,
    unchanged,
)
from benchmarks.harness import Row

BENCHMARKS: Mapping[str, Callable[[float], Iterator[Row]]] = {
    "unchanged": unchanged.measure,
    "scale": scale.measure,
    "registering": registering.measure,
    "latency": latency.measure,
    "harm": harm.measure,
    "retention": retention.measure,
    "trashing": trashing.measure,
    "starting": starting.measure,
    "asking": asking.measure,
    "footprint": footprint.measure,
}


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes (1)")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    started = time.monotonic()
    rows = []
    for name in asked.names or BENCHMARKS:
        with console.status(f"{name} ..."):
            rows += list(BENCHMARKS[name](asked.scale))
    console.print(_table(rows))
    console.print(
        f"Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} "
        f"processors, load {os.getloadavg()[0]:.1f}; {time.monotonic() - started:.0f} s in all",
        style="dim",
    )


def _table(rows: list[Row]) -> Table:
    table = Table("measured", box=SIMPLE_HEAD)
    for column in ("watcherd", "yardstick", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("by")
    for row in rows:
        theirs, ratio = "", ""
        if row.theirs is not None:
            theirs, ratio = _with_unit(row.theirs, row.unit), f"{row.ours / row.theirs:.2f}"
        table.add_row(row.what, _with_unit(row.ours, row.unit), theirs, ratio, row.yardstick)
    return table


def _with_unit(value: float, unit: str) -> str:
    digits = 3 if unit == "s" else 1 if unit == "%" else 0
    return f"{value:,.{digits}f} {unit}"


if __name__ == "__main__":
    main()

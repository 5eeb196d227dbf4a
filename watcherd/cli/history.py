"""``watcherd history``: what happened, from the registry's own append-only history."""

import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcherd.cli.options import Call, command, print_json
from watcherd.cli.reading import in_haste, reading
from watcherd.errors import Exit

if TYPE_CHECKING:
    from watcherd.config import Settings

Row = dict[str, Any]

LOOK_AGAIN = 0.5
"""Seconds: another process writes, and SQLite has no way to wake us."""
PAGE = 200
"""Lines for people who ask for no time and no number: the newest are at the end, before them."""


def add_to(app: typer.Typer) -> None:
    @command(app, "history", Exit.NO_MODEL)
    def history(
        call: Call,
        model: Annotated[
            str | None,
            typer.Argument(metavar="[MODEL]", help="Only this model: an id, a path or an alias."),
        ] = None,
        since: Annotated[
            str | None,
            typer.Option(
                metavar="T", help="Since then: 1h or 3d ago, or a time such as 2026-01-31."
            ),
        ] = None,
        follow: Annotated[
            bool, typer.Option("--follow", help="Go on printing what happens, until Ctrl-C.")
        ] = False,
        limit: Annotated[
            int | None, typer.Option(metavar="N", min=1, help="Only the newest N lines.")
        ] = None,
    ) -> Exit:
        """Print what happened to the models, oldest first."""
        page = PAGE if limit is None and since is None and not call.json else None
        with in_haste():
            settings = call.settings()
            model_id, rows, last = _look(settings, model, since, page + 1 if page else limit)
            is_cut = page is not None and len(rows) > page
            rows = rows[1:] if is_cut else rows
            if not follow:
                _print_table(call, rows, is_cut=is_cut)
                return Exit.DONE
        for row in chain(rows, _follow(settings, model_id, last)):
            _print_line(call, row)
        return Exit.DONE


def _look(
    settings: "Settings", model: str | None, since: str | None, limit: int | None
) -> tuple[int | None, list[Row], int]:
    """The model meant, what happened so far, and the number of the last that ever did."""
    from watcherd.cli.places import model_at
    from watcherd.config.times import start_of

    start = start_of(since) if since is not None else None
    with reading(settings) as registry:
        model_id = model_at(registry, settings.models.root, model) if model is not None else None
        last = registry.last_history_id()
        return model_id, registry.history(model_id=model_id, since=start, limit=limit), last


def _follow(settings: "Settings", model_id: int | None, last: int) -> Iterator[Row]:
    """What happens after a line of the history, without end."""
    while True:
        time.sleep(LOOK_AGAIN)
        # Opened anew: without the right to write one may only look at a frozen state.
        with reading(settings) as registry:
            for row in registry.history(model_id=model_id, after=last):
                last = max(last, row["history_id"])
                yield row


def _print_table(call: Call, rows: list[Row], *, is_cut: bool) -> None:
    from watcherd import render

    now = time.time_ns()
    call.print(rows if call.json else render.history_table(rows, now=now, is_cut=is_cut))


def _print_line(call: Call, row: Row) -> None:
    from watcherd import render

    if call.json:
        print_json(row, indent=None)
    else:
        call.print(render.history_line(row))
    sys.stdout.flush()

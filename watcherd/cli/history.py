"""``watcherd history``: what happened, from the registry's own append-only history."""

import sys
import time
from typing import Annotated, Any

import typer

from watcherd.cli.options import Call, command, print_json
from watcherd.errors import Exit

LOOK_AGAIN = 0.5
"""Seconds: another process writes, and SQLite has no way to wake us."""


def add_to(app: typer.Typer) -> None:
    @command(app, "history", Exit.NO_MODEL)
    def history(
        call: Call,
        model: Annotated[
            str | None, typer.Argument(metavar="[MODEL]", help="Only of this model.")
        ] = None,
        since: Annotated[
            str | None, typer.Option(metavar="T", help="1h, 3d, or a time such as 2026-01-31.")
        ] = None,
        follow: Annotated[
            bool, typer.Option("--follow", help="Go on printing what happens.")
        ] = False,
        limit: Annotated[int | None, typer.Option(min=1, help="The newest so many.")] = None,
    ) -> Exit:
        """Print what happened to the models, oldest first."""
        from watcherd import render
        from watcherd.cli.places import model_at
        from watcherd.cli.times import start_of
        from watcherd.registry import Mode
        from watcherd.wiring import open_registry

        settings = call.settings()
        with open_registry(settings, Mode.READ) as registry:
            root = settings.models.root
            model_id = model_at(registry, root, model) if model is not None else None
            start = start_of(since) if since is not None else None
            last = registry.last_history_id()
            rows = registry.history(model_id=model_id, since=start, limit=limit)
            if not follow:
                call.print(rows if call.json else render.history_table(rows))
                return Exit.DONE
        while True:
            for row in rows:
                _print_line(call, row)
                last = max(last, row["history_id"])
            time.sleep(LOOK_AGAIN)
            # Opened anew: without the right to write one may only look at a frozen state.
            with open_registry(settings, Mode.READ) as registry:
                rows = registry.history(model_id=model_id, after=last)


def _print_line(call: Call, row: dict[str, Any]) -> None:
    from watcherd import render

    if call.json:
        print_json(row, indent=None)
    else:
        call.print(render.history_line(row))
    sys.stdout.flush()

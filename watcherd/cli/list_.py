"""``watcherd list``: the models that the registry knows."""

from typing import Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit, UsageError


def add_to(app: typer.Typer) -> None:
    @command(app, "list")
    def list_(
        call: Call,
        interval: Annotated[str | None, typer.Option(help="Glob; 1m and 1M differ.")] = None,
        ticker: Annotated[str | None, typer.Option(help="Glob, any case.")] = None,
        type: Annotated[str | None, typer.Option(help="Glob, any case.")] = None,
        format: Annotated[str | None, typer.Option(help="h5, weights_h5, checkpoint, ...")] = None,
        state: Annotated[str, typer.Option(help="One or several with commas, or all.")] = "present",
        family: Annotated[str | None, typer.Option(help="Glob, any case.")] = None,
        optimizer: Annotated[str | None, typer.Option(help="Glob, any case: Adam.")] = None,
        unplaced: Annotated[
            bool, typer.Option("--unplaced", help="Only those whose path fits no layout.")
        ] = False,
        sort: Annotated[
            str, typer.Option(metavar="[-]KEY", help="A column; with - the largest first.")
        ] = "path",
        limit: Annotated[int | None, typer.Option(min=0, help="At most so many.")] = None,
    ) -> Exit:
        """List models: those present, unless --state says otherwise."""
        from watcherd import render
        from watcherd.registry import Filter, Mode
        from watcherd.wiring import open_registry

        chosen = Filter(
            interval=interval,
            ticker=ticker,
            type=type,
            format=format,
            family=family,
            optimizer=optimizer,
            states=_states(state),
            unplaced=unplaced,
        )
        with open_registry(call.settings(), Mode.READ) as registry:
            rows = registry.models(chosen, sort=sort, limit=limit)
        call.print(rows if call.json else render.model_table(rows))
        return Exit.DONE


def _states(text: str) -> tuple[str, ...]:
    from watcherd.plan import State

    if text == "all":
        return ()
    asked = tuple(word.strip() for word in text.split(","))
    unknown = [word for word in asked if word not in tuple(State)]
    if unknown:
        raise UsageError(
            f"no such state: {', '.join(unknown)}", hint="one of: all, " + ", ".join(State)
        )
    return asked

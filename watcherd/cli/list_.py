"""``watcherd list``: the models that the registry knows."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.cli.reading import in_haste, reading
from watcherd.errors import Exit, UsageError

if TYPE_CHECKING:
    from watcherd.registry import Best, Question, Registry

PAGE = 200
"""Rows of a table, unless a person asks for another number: nobody reads a hundred thousand."""


def add_to(app: typer.Typer) -> None:
    @command(app, "list")
    def list_(
        call: Call,
        interval: Annotated[
            str | None,
            typer.Option(
                metavar="GLOB", help="By interval; case matters: 1m is a minute, 1M a month."
            ),
        ] = None,
        ticker: Annotated[
            str | None, typer.Option(metavar="GLOB", help="By ticker, in any case: btc*.")
        ] = None,
        type: Annotated[
            str | None, typer.Option(metavar="GLOB", help="By model type, in any case.")
        ] = None,
        format: Annotated[
            str | None,
            typer.Option(metavar="GLOB", help="By format: h5, weights_h5, checkpoint, ..."),
        ] = None,
        state: Annotated[
            str,
            typer.Option(
                metavar="STATES", help="By state: one, several separated by commas, or all."
            ),
        ] = "present",
        family: Annotated[
            str | None, typer.Option(metavar="GLOB", help="By family, in any case.")
        ] = None,
        optimizer: Annotated[
            str | None, typer.Option(metavar="GLOB", help="By optimizer, in any case: adam*.")
        ] = None,
        architecture: Annotated[
            str | None,
            typer.Option(
                metavar="WHICH",
                help="By architecture: its id, the first digits of its hash, or a class name.",
            ),
        ] = None,
        tag: Annotated[
            list[str] | None,
            typer.Option(
                metavar="KEY[=VALUE]", help="With this tag; given several times, with all of them."
            ),
        ] = None,
        unplaced: Annotated[
            bool, typer.Option("--unplaced", help="Only models whose path fits no layout.")
        ] = False,
        ensemble: Annotated[
            bool,
            typer.Option(
                "--ensemble",
                help="Only the copies in ensemble folders, which are left out otherwise.",
            ),
        ] = False,
        where: Annotated[
            list[str] | None,
            typer.Option(
                metavar="'COLUMN OP VALUE'",
                help="By a condition, such as 'sharpe > 1'; OP: = != < <= > >= ~ (a glob). "
                "Given several times, all must hold.",
            ),
        ] = None,
        sort: Annotated[
            str | None,
            typer.Option(
                metavar="[-]KEY", help="Sort by a column or a metric; with - the largest first."
            ),
        ] = None,
        limit: Annotated[
            int | None, typer.Option(metavar="N", min=0, help="List N models at most.")
        ] = None,
        best: Annotated[
            str | None,
            typer.Option(metavar="METRIC[:min|max]", help="Only the best model by a result, ..."),
        ] = None,
        per: Annotated[
            str | None,
            typer.Option(
                metavar="KEYS", help="... or the best of each group, such as ticker,type."
            ),
        ] = None,
        by: Annotated[
            str | None,
            typer.Option(
                metavar="KEYS", help="Count models and bytes by group, such as ticker,type."
            ),
        ] = None,
    ) -> Exit:
        """List models: those present, unless --state says otherwise."""
        with in_haste():
            from watcherd.registry import Filter, Question

            chosen = Filter(
                interval=interval,
                ticker=ticker,
                type=type,
                format=format,
                family=family,
                optimizer=optimizer,
                architecture=architecture,
                states=_states(state),
                unplaced=unplaced,
                ensemble=ensemble,
                tags=tuple(tag or ()),
                where=tuple(where or ()),
            )
            question = Question(chosen, _best(best, per, by), sort, limit)
            with reading(call.settings()) as registry:
                if by is None:
                    _print_models(call, registry, question)
                else:
                    _print_groups(call, registry, question, by)
        return Exit.DONE


def _print_models(call: Call, registry: "Registry", question: "Question") -> None:
    from watcherd import render
    from watcherd.registry.queries import count_models, list_models, metrics_in

    page = PAGE if question.limit is None else question.limit
    with registry.reading() as connection:
        if call.json:
            call.print(list_models(connection, question))
            return
        # One more than is shown tells whether there are more.
        rows = list_models(connection, replace(question, limit=page + 1))
        found = count_models(connection, question) if len(rows) > page else None
        metrics = metrics_in(connection, question)
    call.print(render.model_table(rows[:page], now=time.time_ns(), metrics=metrics, found=found))


def _print_groups(call: Call, registry: "Registry", question: "Question", by: str) -> None:
    from watcherd import render
    from watcherd.registry.ranking import count_groups

    keys = _words(by)
    with registry.reading() as connection:
        rows = count_groups(connection, question, keys)
    call.print(rows if call.json else render.group_table(rows, keys))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _best(metric: str | None, per: str | None, by: str | None) -> "Best | None":
    """``sharpe:max`` and ``interval,ticker``. Raises UsageError."""
    if metric is None and per is not None:
        raise UsageError("--per groups the results of --best", hint="add --best METRIC")
    if metric is None:
        return None
    if by is not None:
        raise UsageError(
            "--best lists models, and --by counts them", hint="use one of the two options"
        )
    from watcherd.registry import Best

    name, sign, mode = metric.rpartition(":")
    if sign and mode not in ("min", "max"):
        raise UsageError(
            f"--best {metric}: MODE is min or max, not {mode!r}",
            hint=f"write {name or 'METRIC'}:min or {name or 'METRIC'}:max",
        )
    return Best.of(metric, _words(per) if per is not None else ())


def _states(text: str) -> tuple[str, ...]:
    return () if text == "all" else tuple(_words(text))

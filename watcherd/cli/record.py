"""``watcherd record``: results of a model's present content."""

import json
from typing import Annotated, Any

import typer

from watcherd.cli.each import ModelArgument, plain
from watcherd.cli.options import Call, command
from watcherd.errors import Exit, UsageError


def add_to(app: typer.Typer) -> None:
    @command(app, "record", Exit.REFUSED, Exit.NO_MODEL)
    def record(
        call: Call,
        model: ModelArgument,
        results: Annotated[
            list[str], typer.Argument(metavar="METRIC=VALUE...", help="Such as sharpe=1.31.")
        ],
        about: Annotated[
            str | None,
            typer.Option(
                "--context",
                metavar="JSON",
                help="What the results were measured on, as a JSON object.",
            ),
        ] = None,
    ) -> Exit:
        """Record results of what a model holds now: a back-test, an evaluation.

        They count until other content comes to the model's path; a new value of a metric replaces
        the older ones, which stay known.
        """
        import time

        from watcherd import render
        from watcherd.cli.places import model_at
        from watcherd.registry import By, Mode
        from watcherd.registry import results as books
        from watcherd.scope import Cause
        from watcherd.wiring import open_registry, person

        values = dict(_value(words) for words in results)
        context = _context(about) if about is not None else None
        settings = call.settings()
        with open_registry(settings, Mode.WRITE) as registry:
            model_id = model_at(registry, settings.models.root, model)
            by = By(person(), Cause.REQUEST)
            new = books.record(registry, model_id, values, context, by, time.time_ns())
        said = {"model": model, "model_id": model_id, "recorded": new, "context": context}
        call.print(said if call.json else render.recorded_text(said))
        return Exit.DONE


def _value(words: str) -> tuple[str, float]:
    metric, sign, number = plain(words, "result").partition("=")
    try:
        if metric and sign:
            return metric, float(number)
    except ValueError:
        pass
    raise UsageError(f"{words!r} is no result", hint="write METRIC=VALUE, such as sharpe=1.31")


def _context(text: str) -> dict[str, Any]:
    try:
        said = json.loads(plain(text, "context"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"--context is no JSON: {error}",
            hint="""write an object, such as --context '{"window": "2024"}'""",
        ) from None
    if not isinstance(said, dict):
        raise UsageError(
            "--context is no JSON object",
            hint="""write one, such as --context '{"window": "2024"}'""",
        )
    return said


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")

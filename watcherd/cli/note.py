"""``watcherd note``: a person's words beside a model."""

from typing import Annotated

import typer

from watcherd.cli.each import Mark, ModelArgument, mark_each, plain
from watcherd.cli.options import Call, command
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    @command(app, "note", Exit.NO_MODEL)
    def note(
        call: Call,
        model: ModelArgument,
        text: Annotated[
            str, typer.Argument(metavar="TEXT", help='The note, in quotes; "" removes it.')
        ],
    ) -> Exit:
        """Write a note to a model, in place of the one it has."""
        from watcherd.registry import marks

        said = plain(text, "note") if text else ""
        mark = Mark(
            "note",
            "noted" if said else "no note now",
            "noted already" if said else "no note",
            lambda registry, model_id, by, now: marks.note(registry, model_id, said, by, now),
        )
        return mark_each(call, [model], [mark])

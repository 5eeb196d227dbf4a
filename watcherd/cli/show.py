"""``watcherd show``: everything known of one model."""

from typing import Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="An id, or a path of the model or of its files.")
]


def add_to(app: typer.Typer) -> None:
    @command(app, "show", Exit.NO_MODEL)
    def show(call: Call, model: Model) -> Exit:
        """Print everything that the registry knows of one model."""
        from watcherd import render
        from watcherd.cli.places import model_at
        from watcherd.registry import Mode
        from watcherd.wiring import open_registry

        settings = call.settings()
        with open_registry(settings, Mode.READ) as registry:
            row = registry.find(model_at(registry, settings.models.root, model))
        assert row is not None  # model_at found it
        call.print(row if call.json else render.model_card(row))
        return Exit.DONE

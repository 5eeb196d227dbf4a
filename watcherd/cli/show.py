"""``watcherd show``: everything known of one model."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcherd.cli.options import Call, command
from watcherd.cli.reading import in_haste, reading
from watcherd.errors import Exit

if TYPE_CHECKING:
    from watcherd.registry import Registry

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="An id, a path of it or its files, or an alias.")
]


def add_to(app: typer.Typer) -> None:
    @command(app, "show", Exit.NO_MODEL)
    def show(call: Call, model: Model) -> Exit:
        """Print everything that the registry knows of one model."""
        with in_haste():
            from watcherd import render
            from watcherd.cli.places import model_at

            settings = call.settings()
            with reading(settings) as registry:
                row = _everything(registry, model_at(registry, settings.models.root, model))
            call.print(row if call.json else render.model_card(row, now=time.time_ns()))
        return Exit.DONE


def _everything(registry: "Registry", model_id: int) -> dict[str, Any]:
    """Its row and all that belongs to it, the layers of its architecture, and what weights fit."""
    from watcherd.readers.summary import layers
    from watcherd.registry.architectures import config_of, fitting
    from watcherd.registry.queries import find_model
    from watcherd.registry.verifications import why_unverified

    with registry.reading() as connection:
        row = find_model(connection, model_id)
        assert row is not None  # model_at found it, and no row is ever dropped
        config = config_of(connection, row["architecture_id"])
        row["layers"] = [asdict(layer) for layer in layers(config)] if config else []
        row["fits"] = [asdict(fit) for fit in fitting(connection, row)]
        row["verify_reason"] = why_unverified(connection, row)
    return row

"""``watcherd restore``: bring models back from the trash."""

from typing import Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit, WatcherdError


def add_to(app: typer.Typer) -> None:
    @command(app, "restore", Exit.PARTLY, Exit.NO_ROOT, Exit.NO_MODEL)
    def restore(
        call: Call,
        models: Annotated[
            list[str], typer.Argument(metavar="MODEL...", help="Ids, or the paths they had.")
        ],
    ) -> Exit:
        """Bring models back from the trash, to where they were. A restored model is pinned."""
        from watcherd import render
        from watcherd.cli.places import model_at
        from watcherd.registry import Mode
        from watcherd.wiring import person, pruner_of, reconciling

        settings = call.settings()
        outcome = []
        with reconciling(settings, person(), mode=Mode.WRITE) as reconciler:
            pruner = pruner_of(settings, reconciler)
            for name in models:
                try:
                    model_id = model_at(reconciler.registry, settings.models.root, name)
                    pruner.restore(model_id)
                    outcome.append({"model": name, "model_id": model_id, "restored": True})
                except WatcherdError as error:
                    if len(models) == 1:
                        raise
                    outcome.append({"model": name, "restored": False, "error": error.message})
        call.print(outcome if call.json else render.restored_text(outcome))
        return Exit.DONE if all(one["restored"] for one in outcome) else Exit.PARTLY

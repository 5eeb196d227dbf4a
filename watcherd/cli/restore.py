"""``watcherd restore``: bring models back from the trash."""

from typing import Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    @command(app, "restore", Exit.PARTLY, Exit.NO_ROOT, Exit.NO_MODEL)
    def restore(
        call: Call,
        models: Annotated[
            list[str], typer.Argument(metavar="MODEL...", help="Ids, or the paths that they had.")
        ],
    ) -> Exit:
        """Bring models back from the trash, to where they were, with their copies in ensembles.

        A restored model is pinned.
        """
        from watcherd import render
        from watcherd.cli.several import outcomes, resolve, with_copies
        from watcherd.plan import State
        from watcherd.registry import By, Mode
        from watcherd.removal import restore as restore_models
        from watcherd.scope import Cause
        from watcherd.wiring import person, reconciling

        settings = call.settings()
        with reconciling(settings, person(), mode=Mode.WRITE) as reconciler:
            named = resolve(reconciler.registry, settings.models.root, models, state=State.TRASHED)
            moved = restore_models(reconciler, named.ids, By(person(), Cause.REQUEST))
        said = outcomes(named, "restored", moved.failed)
        said = with_copies(said, moved.copies)
        call.print(said if call.json else render.moved_text(said, "restored", moved.done))
        return Exit.DONE if all(one["restored"] for one in said) else Exit.PARTLY

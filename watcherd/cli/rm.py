"""``watcherd rm``: remove models from the disk, into the trash."""

from typing import Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    @command(app, "rm", Exit.PARTLY, Exit.NO_ROOT, Exit.REFUSED, Exit.NO_MODEL)
    def rm(
        call: Call,
        models: Annotated[
            list[str], typer.Argument(metavar="MODEL...", help="Ids, paths or aliases.")
        ],
        force: Annotated[
            bool,
            typer.Option(
                "--force", help="Also remove models that are pinned, have an alias or are in use."
            ),
        ] = False,
    ) -> Exit:
        """Move models to the trash, and their copies in ensembles with them.

        A copy of other content than its model's holds it. watcherd restore brings them back, until
        they are purged.
        """
        from watcherd import render
        from watcherd.cli.several import outcomes, resolve, with_copies
        from watcherd.plan import Verb
        from watcherd.registry import By, Mode
        from watcherd.removal import remove
        from watcherd.scope import Cause
        from watcherd.trashing import Meaning
        from watcherd.wiring import person, reconciling

        settings = call.settings()
        by = By(person(), Cause.REQUEST)
        meaning = Meaning(Verb.DELETED, settings.retention.trash_for, by, force)
        with reconciling(settings, by.actor, mode=Mode.WRITE) as reconciler:
            named = resolve(reconciler.registry, settings.models.root, models)
            removed = remove(reconciler, named.ids, meaning)
        said = outcomes(named, "removed", removed.failed | removed.refused)
        said = with_copies(said, removed.copies)
        call.print(said if call.json else render.moved_text(said, "removed", removed.done))
        if not removed.done and removed.refused.keys() == set(named.ids) and not named.unknown:
            return Exit.REFUSED
        return Exit.DONE if all(one["removed"] for one in said) else Exit.PARTLY

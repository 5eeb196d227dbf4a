"""``watcherd ensemble``: copies of models in ensemble folders, into them and out again."""

from typing import Annotated

import typer

from watcherd.cli.each import ModelsArgument
from watcherd.cli.options import Call, command, group
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    below = group(app, "ensemble", "Copy models into ensemble folders, take them out, list them.")

    @command(below, "add", Exit.PARTLY, Exit.NO_ROOT, Exit.NO_MODEL)
    def add(
        call: Call,
        models: ModelsArgument,
        kind: Annotated[
            str,
            typer.Option(
                "--type", metavar="FOLDER", help="The ensemble folder, such as ensemble_average."
            ),
        ],
    ) -> Exit:
        """Copy models into an ensemble folder of their interval and ticker.

        What lies there under a model's name is never overwritten. A model may be in several.
        Nothing is copied that would leave less than retention.min_free_space.
        """
        from watcherd import render
        from watcherd.cli.several import outcomes, resolve
        from watcherd.ensembling import add as add_models
        from watcherd.registry import By, Mode
        from watcherd.scope import Cause
        from watcherd.wiring import person, reconciling

        settings = call.settings()
        by = By(person(), Cause.REQUEST)
        with reconciling(settings, by.actor, mode=Mode.WRITE) as reconciler:
            named = resolve(reconciler.registry, settings.models.root, models)
            reserve = settings.retention.min_free_space
            copied = add_models(reconciler, named.ids, kind, by, reserve)
        said = [
            {
                **one,
                "copy_path": copied.done.get(one["model_id"]),
                "already": one["model_id"] in copied.already,
            }
            for one in outcomes(named, "copied", copied.failed)
        ]
        call.print(said if call.json else render.copied_text(said, kind))
        return Exit.DONE if all(one["copied"] for one in said) else Exit.PARTLY

    @command(below, "remove", Exit.PARTLY, Exit.NO_ROOT, Exit.REFUSED, Exit.NO_MODEL)
    def remove(
        call: Call,
        models: ModelsArgument,
        kind: Annotated[
            str | None,
            typer.Option(
                "--type", metavar="FOLDER", help="Only the copies in this ensemble folder."
            ),
        ] = None,
        force: Annotated[
            bool, typer.Option("--force", help="Also remove copies that are pinned or in use.")
        ] = False,
    ) -> Exit:
        """Move the copies of models to the trash; the models stay where they are.

        A path in an ensemble folder names that copy alone.
        """
        from watcherd import render
        from watcherd.cli.several import outcomes, resolve, with_copies
        from watcherd.ensembling import take_out
        from watcherd.plan import Verb
        from watcherd.registry import By, Mode
        from watcherd.scope import Cause
        from watcherd.trashing import Meaning
        from watcherd.wiring import person, reconciling

        settings = call.settings()
        by = By(person(), Cause.REQUEST)
        meaning = Meaning(Verb.DELETED, settings.retention.trash_for, by, force)
        with reconciling(settings, by.actor, mode=Mode.WRITE) as reconciler:
            named = resolve(reconciler.registry, settings.models.root, models)
            removed = take_out(reconciler, named.ids, kind, meaning)
        said = outcomes(named, "removed", removed.failed | removed.refused)
        said = with_copies(said, removed.copies)
        call.print(said if call.json else render.moved_text(said, "removed", ()))
        return Exit.DONE if all(one["removed"] for one in said) else Exit.PARTLY

    @command(below, "list")
    def list_(
        call: Call,
        interval: Annotated[
            str | None, typer.Option(metavar="GLOB", help="By interval; case matters.")
        ] = None,
        ticker: Annotated[
            str | None, typer.Option(metavar="GLOB", help="By ticker, in any case: btc*.")
        ] = None,
        kind: Annotated[
            str | None,
            typer.Option("--type", metavar="GLOB", help="By the name of the ensemble folder."),
        ] = None,
    ) -> Exit:
        """List what lies in ensemble folders: whose copy it is, and whether it is up to date."""
        from watcherd import render
        from watcherd.registry import Mode
        from watcherd.registry.members import list_members
        from watcherd.wiring import open_registry

        with open_registry(call.settings(), Mode.READ) as registry:
            rows = list_members(registry, interval=interval, ticker=ticker, kind=kind)
        call.print(rows if call.json else render.members_text(rows))
        return Exit.DONE

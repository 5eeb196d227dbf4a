"""``watcherd trash``: what is in the trash, and out of it for good."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from watcherd.cli.options import (
    Call,
    ConfigOption,
    Group,
    JsonOption,
    RegistryOption,
    RootOption,
    command,
)
from watcherd.errors import Exit, NoSuchModel, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from watcherd.registry import Intent
    from watcherd.registry.store import Registry


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(cls=Group)
    app.add_typer(group, name="trash")

    @group.callback(invoke_without_command=True)
    def trash(
        context: typer.Context,
        config: ConfigOption = None,
        root: RootOption = None,
        registry: RegistryOption = None,
        json_: JsonOption = False,
    ) -> None:
        """List what is in the trash, or remove it for good."""
        context.obj = context.obj.then(config, root, registry, json_)
        if context.invoked_subcommand is None:
            raise typer.Exit(_list(context.obj))

    @command(group, "list")
    def list_(call: Call) -> Exit:
        """List what is in the trash, the oldest first, and until when."""
        return _list(call)

    @command(group, "purge", Exit.PARTLY, Exit.NO_ROOT, Exit.NO_MODEL)
    def purge(
        call: Call,
        models: Annotated[
            list[str] | None,
            typer.Argument(metavar="[MODEL]...", help="Ids, or the paths that they had."),
        ] = None,
        older_than: Annotated[
            str | None,
            typer.Option(
                "--older-than",
                metavar="T",
                help="All that has been in the trash for longer: 12h, 3d.",
            ),
        ] = None,
        all_: Annotated[bool, typer.Option("--all", help="Everything in the trash.")] = False,
    ) -> Exit:
        """Remove models from the trash for good. Their rows, marks and history stay."""
        from watcherd import render
        from watcherd.purging import Doomed
        from watcherd.purging import purge as purge_models
        from watcherd.registry import By, Mode
        from watcherd.registry.intents import list_intents
        from watcherd.scope import Cause
        from watcherd.wiring import person, reconciling

        if [bool(models), older_than is not None, all_].count(True) != 1:
            raise UsageError(
                "say what to purge", hint="name models, or give either --older-than T or --all"
            )
        settings = call.settings()
        by = By(person(), Cause.REQUEST)
        with reconciling(settings, by.actor, mode=Mode.WRITE) as reconciler:
            held = list_intents(reconciler.registry, reconciler.root.root_id)
            if models:
                held = _named(reconciler.registry, settings.models.root, models, held)
            elif older_than is not None:
                held = _older(held, older_than)
            doomed = [Doomed(one, f"purged by {by.actor}") for one in held]
            emptied = purge_models(reconciler, doomed, by)
        said = render.emptied(emptied.purged, emptied.failed)
        call.print(said if call.json else render.emptied_text(said))
        return Exit.PARTLY if emptied.failed else Exit.DONE


def _list(call: Call) -> Exit:
    from watcherd import render
    from watcherd.registry import Mode
    from watcherd.registry.intents import list_trash
    from watcherd.wiring import open_registry

    settings = call.settings()
    with open_registry(settings, Mode.READ) as registry:
        root = registry.root(str(settings.models.root))
        rows = list_trash(registry, root.root_id) if root else []
    call.print(rows if call.json else render.trashed_text(rows))
    return Exit.DONE


def _named(
    registry: "Registry", root: "Path", names: Sequence[str], held: Sequence["Intent"]
) -> "list[Intent]":
    """Raises NoSuchModel where one of them is not in the trash: nothing is purged then."""
    from watcherd.cli.places import model_at
    from watcherd.plan import State

    known = {one.record.model_id: one for one in held}
    chosen = {name: model_at(registry, root, name, state=State.TRASHED) for name in names}
    for name, model_id in chosen.items():
        if model_id not in known:
            raise NoSuchModel(
                f"{name} is not in the trash; nothing was purged",
                hint="watcherd trash list shows what is; name it by its id",
            )
    return [known[model_id] for model_id in dict.fromkeys(chosen.values())]


def _older(held: Sequence["Intent"], text: str) -> "list[Intent]":
    from watcherd.config.times import start_of
    from watcherd.registry import ns_of

    before = ns_of(start_of(text))
    return [one for one in held if one.trashed_ns <= before]

"""``watcherd explain``: what a path is, why it has a row or none, and what becomes of its model."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit, NoRegistry, NoSuchModel, UsageError
from watcherd.scope import is_text

if TYPE_CHECKING:
    from watcherd.config import Settings
    from watcherd.explain import Evidence
    from watcherd.reconciler import Reconciler

Named = Annotated[
    str, typer.Argument(metavar="PATH", help="Any file or folder; or a model's id, path or alias.")
]


def add_to(app: typer.Typer) -> None:
    @command(app, "explain", Exit.NO_ROOT, Exit.NO_MODEL)
    def explain(call: Call, path: Named) -> Exit:
        """Say what a path is: its model and why it is kept, or what would remove it and when;
        or why it has no row.

        Writes nothing, and works beside a daemon or without one.
        """
        from watcherd import render
        from watcherd.explain import explain as explain_evidence

        seen = _inquire(call.settings(), path)
        found = explain_evidence(seen, path) if path else None
        if found is None:
            raise NoSuchModel(
                f"{path} is neither on disk nor in the registry",
                hint="a path is relative to the models root or to the working folder; "
                "watcherd list shows models",
            )
        said = found.as_json()
        call.print(said if call.json else render.explained_text(said, now=time.time_ns()))
        return Exit.NO_ROOT if seen.is_suspended else Exit.DONE


def _inquire(settings: "Settings", name: str) -> "Evidence":
    from watcherd.wiring import looking

    try:
        with looking(settings) as reconciler:
            return _inquire_of(settings, name, reconciler)
    except NoRegistry:
        return _inquire_of(settings, name, None)


def _inquire_of(settings: "Settings", name: str, reconciler: "Reconciler | None") -> "Evidence":
    from watcherd.explain import inquire, inquire_outside

    place = _place_of(settings.models.root, name)
    model_id = _id_of(settings.models.root, name, place, reconciler) if reconciler else None
    if reconciler is not None and model_id is not None:
        place = _place_of_model(reconciler, name, place, model_id)
    if place is None:
        return inquire_outside(settings, Path(name))
    return inquire(settings, place, reconciler, model_id)


def _place_of(root: Path, name: str) -> str | None:
    """The path below the root as it is written: a symlink on the way is told, not followed.

    None where it lies outside.
    """
    from watcherd.cli.places import below_root, from_here, is_there

    path = Path(name)
    places = (root / path, from_here(path))
    there = (place for place in places if place is not None and is_there(place))
    written = Path(os.path.abspath(next(there, root / path)))
    if written.is_relative_to(root):
        return "" if written == root else written.relative_to(root).as_posix()
    with suppress(UsageError):
        return below_root(root, path)
    return None


def _id_of(root: Path, name: str, place: str | None, reconciler: "Reconciler") -> int | None:
    from watcherd.cli.places import model_at

    quiet = (NoSuchModel, UsageError) if place is None else (NoSuchModel,)
    with suppress(*quiet):
        return model_at(reconciler.registry, root, name)
    root_id = reconciler.root.root_id
    ids = reconciler.registry.ids_at(place, root_id) if place and is_text(place) else []
    return ids[0] if ids else None


def _place_of_model(
    reconciler: "Reconciler", name: str, place: str | None, model_id: int
) -> str | None:
    """The path that is meant: as written, or where the model of an id or an alias is."""
    root, registry = Path(reconciler.root.path), reconciler.registry
    is_path = place is not None and (
        os.path.lexists(root / place)
        or (is_text(place) and model_id in registry.ids_at(place, reconciler.root.root_id))
    )
    if is_path and name != str(model_id):
        return place
    row = registry.find(model_id)
    return row["path"] if row is not None else place

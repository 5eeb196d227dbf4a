"""What lies where: the models below a folder, and whose files an entry of the trash holds."""

from sqlalchemy import ColumnElement, and_, func, or_, select

from watcherd.registry.records import IS_ON_DISK
from watcherd.registry.store import Registry
from watcherd.registry.tables import model, trash
from watcherd.scope import lineage


def count_below(registry: Registry, root_id: int, folder: str) -> dict[str, int]:
    """State -> number of models on disk in a folder and all below it; ``""`` is the root."""
    counted = select(model.c.state, func.count()).where(
        model.c.root_id == root_id, IS_ON_DISK, *_is_below(folder)
    )
    with registry.reading() as connection:
        found = connection.execute(counted.group_by(model.c.state))
        return {row[0]: row[1] for row in found}


def id_in_trash(registry: Registry, root_id: int, path: str) -> int | None:
    """The model whose entry in the trash a path is, or lies in; None where there is none."""
    entry = (
        select(trash.c.model_id)
        .join(model)
        .where(model.c.root_id == root_id, trash.c.trash_path.in_(list(lineage(path))))
    )
    with registry.reading() as connection:
        return connection.execute(entry).scalar()


def _is_below(folder: str) -> tuple[ColumnElement[bool], ...]:
    if not folder:
        return ()
    # A range, so that the index serves it: ``0`` is the character after ``/``.
    inside = and_(model.c.path > f"{folder}/", model.c.path < f"{folder}0")
    return (or_(model.c.path == folder, inside),)

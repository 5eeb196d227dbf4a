"""Sums over many models: what the trash holds, what came and what went."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, select

from watcherd.registry.clock import iso, ns_of
from watcherd.registry.records import IS_ON_DISK
from watcherd.registry.store import Registry
from watcherd.registry.tables import history, model, trash

_LEAVING = ("pruned", "deleted", "missing")
"""Verbs after which a model's files are not in their place."""


@dataclass(frozen=True, slots=True)
class TrashTotals:
    """What can be restored, and what it takes of the disk."""

    models: int
    size_bytes: int
    next_expiry: str | None
    """When the first of it is purged, as the registry writes times."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What came to the disk and what went from it since some time."""

    new: dict[int, int]
    """model_id -> bytes, of the models first seen since then that are on disk. What the first look
    at a root found there already is not new, but for what was saved since."""
    gone_bytes: int
    """Of those that were there before, and are not on disk any more."""


def sum_trash(registry: Registry, root_id: int) -> TrashTotals:
    """What is in the trash, or on its way there."""
    asked = (
        select(
            func.count(),
            func.coalesce(func.sum(model.c.size_bytes), 0),
            func.min(trash.c.expires_at),
        )
        .select_from(trash)
        .join(model)
        .where(model.c.root_id == root_id)
    )
    with registry.reading() as connection:
        models, size_bytes, expiry = connection.execute(asked).one()
    return TrashTotals(models, int(size_bytes), expiry)


def first_line(registry: Registry) -> int | None:
    """When the history begins, in ns since the epoch; None where there is none yet."""
    with registry.reading() as connection:
        first = connection.execute(select(func.min(history.c.at))).scalar()
    return ns_of(first) if first else None


def growth_since(registry: Registry, root_id: int, since: int) -> Growth:
    """What came and went since a time in ns since the epoch."""
    start = iso(since)
    with registry.reading() as connection:
        return Growth(
            new=dict(_new(connection, root_id, start)),
            gone_bytes=_gone_bytes(connection, root_id, start),
        )


def _new(connection: Connection, root_id: int, start: str) -> Iterator[tuple[int, int]]:
    found = select(model.c.model_id, model.c.size_bytes).where(
        model.c.root_id == root_id,
        IS_ON_DISK,
        model.c.first_seen_at >= start,
        model.c.modified_at >= start,
    )
    return ((model_id, size) for model_id, size in connection.execute(found))


def _gone_bytes(connection: Connection, root_id: int, start: str) -> int:
    left = exists().where(
        history.c.model_id == model.c.model_id,
        history.c.at >= start,
        history.c.verb.in_(_LEAVING),
    )
    gone = select(func.coalesce(func.sum(model.c.size_bytes), 0)).where(
        model.c.root_id == root_id, ~IS_ON_DISK, model.c.first_seen_at < start, left
    )
    return int(connection.execute(gone).scalar_one())

"""What others wrote into the history of a root, for one who follows it."""

import json
from typing import Any

from sqlalchemy import func, select

from watcherd.plan import MARKS, Verb
from watcherd.registry.history import last_history_id
from watcherd.registry.store import Registry, Root
from watcherd.registry.tables import history, model

Row = dict[str, Any]

EVENTS = tuple(set(Verb) - MARKS - {Verb.ADOPTED, Verb.COMPACTED, Verb.REFRESHED})
"""What happens to models, and not what is said of them, or of the root."""


def lines_of_others(
    registry: Registry, root: Root, actor: str, *, after: int, limit: int
) -> tuple[list[Row], int]:
    """What others than ``actor`` did to the root's models since the line ``after`` (a history_id),
    oldest first, and the number of the newest line of all.

    Of more than ``limit`` lines the first. Raises RegistryError.
    """
    asked = (
        select(history)
        .join(model, model.c.model_id == history.c.model_id)
        .where(history.c.history_id > after, model.c.root_id == root.root_id)
        .where(history.c.actor != actor, history.c.verb.in_(EVENTS))
        .order_by(history.c.history_id)
        .limit(limit)
    )
    with registry.reading() as connection:
        newest = last_history_id(connection)
        # Mostly there is nothing new, which costs a look at the end of one index.
        found = connection.execute(asked).mappings().all() if newest > after else []
    return [_row(dict(line)) for line in found], newest


def adopters(registry: Registry, uuid: str | None, *, after: int = 0) -> list[str]:
    """Who said that the folder with this marker is the root, oldest first; since a line."""
    asked = (
        select(history.c.actor)
        .where(history.c.model_id.is_(None), history.c.history_id > after)
        .where(history.c.verb == Verb.ADOPTED)
        .where(func.json_extract(history.c.details, "$.uuid") == uuid)
        .order_by(history.c.history_id)
    )
    with registry.reading() as connection:
        return list(connection.execute(asked).scalars())


def _row(line: Row) -> Row:
    return line | {"details": json.loads(line["details"] or "{}")}

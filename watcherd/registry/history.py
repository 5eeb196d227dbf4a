"""What happened, from the append-only history."""

import json
from typing import Any

from sqlalchemy import Connection, func, select

from watcherd.registry.tables import history

Row = dict[str, Any]


def list_history(
    connection: Connection,
    *,
    model_id: int | None = None,
    since: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[Row]:
    """What happened, oldest first; with ``limit`` the newest so many.

    ``since`` is a time as the registry writes them; ``after`` a history_id. A moved model's line
    has both its paths.
    """
    statement = select(history)
    if model_id is not None:
        statement = statement.where(history.c.model_id == model_id)
    if after is not None:
        statement = statement.where(history.c.history_id > after)
    newest_first = [history.c.history_id.desc()]
    if since is not None:
        statement = statement.where(history.c.at >= since)
        # By time first, so that the index upon it serves: by number alone SQLite would rather walk
        # through all that ever happened.
        newest_first.insert(0, history.c.at.desc())
    found = connection.execute(statement.order_by(*newest_first).limit(limit)).mappings()
    rows = sorted(map(dict, found), key=lambda row: row["history_id"])
    for row in rows:
        row["details"] = json.loads(row["details"]) if row["details"] else None
    return rows


def last_history_id(connection: Connection) -> int:
    """The newest line of the history; 0 where there is none."""
    newest = select(func.coalesce(func.max(history.c.history_id), 0))
    return int(connection.execute(newest).scalar_one())

"""What commands ask of the registry. Rows come as plain dicts whose keys are the column names."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from watcherd.errors import UsageError
from watcherd.plan import State
from watcherd.registry.records import chunks
from watcherd.registry.tables import (
    alias,
    history,
    model,
    model_file,
    optimizer,
    result,
    root,
    tag,
    trash,
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which models; globs (``BTC*``) ignore case, except in intervals (1m and 1M differ)."""

    interval: str | None = None
    ticker: str | None = None
    type: str | None = None
    format: str | None = None
    family: str | None = None
    optimizer: str | None = None
    states: tuple[str, ...] = (State.PRESENT,)
    """Empty for all."""
    unplaced: bool = False


def list_models(
    connection: Connection,
    chosen: Filter,
    *,
    sort: str = "path",
    limit: int | None = None,
) -> list[Row]:
    """The models that pass the filter, each as its row with its optimizer's settings.

    ``sort`` is a column, descending with a leading ``-``. Raises UsageError for no such column.
    """
    statement = _models().where(*_conditions(chosen)).order_by(*_order(sort), model.c.model_id)
    return _rows(connection, statement.limit(limit) if limit is not None else statement)


def find_model(connection: Connection, model_id: int) -> Row | None:
    """Everything known of one model: its row, files, tags, aliases, results and trash entry."""
    row = next(iter(_rows(connection, _models().where(model.c.model_id == model_id))), None)
    if row is None:
        return None
    return row | {
        "files_seen": _of(connection, model_file, model_id),
        "tags": {one["key"]: one["value"] for one in _of(connection, tag, model_id)},
        "aliases": [one["alias"] for one in _of(connection, alias, model_id)],
        "results": _of(connection, result, model_id),
        "trash": next(iter(_of(connection, trash, model_id)), None),
    }


def ids_at(connection: Connection, path: str) -> list[int]:
    """The models of a path, the one on disk first, then the newest; files and old paths count."""
    on_disk = model.c.state.in_(("present", "incomplete", "unreadable"))
    found = connection.execute(
        select(model.c.model_id)
        .where(
            or_(
                model.c.path == path,
                model.c.model_id.in_(
                    select(model_file.c.model_id).where(model_file.c.path == path)
                ),
            )
        )
        .order_by(on_disk.desc(), model.c.model_id.desc())
    )
    ids = list(found.scalars())
    if ids:
        return ids
    moved = connection.execute(
        select(history.c.model_id)
        .where(history.c.from_path == path)
        .order_by(history.c.history_id.desc())
    )
    return list(dict.fromkeys(moved.scalars()))


def list_history(
    connection: Connection,
    *,
    model_id: int | None = None,
    since: str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[Row]:
    """What happened, oldest first; with ``limit`` the newest so many.

    ``since`` is a time as the registry writes them; ``after`` a history_id.
    """
    statement = select(history).where(history.c.history_id > after)
    if model_id is not None:
        statement = statement.where(history.c.model_id == model_id)
    if since is not None:
        statement = statement.where(history.c.at >= since)
    newest_first = statement.order_by(history.c.history_id.desc())
    rows = _rows(connection, newest_first.limit(limit) if limit else newest_first)
    rows.reverse()
    for row in rows:
        row["details"] = json.loads(row["details"]) if row["details"] else None
    return rows


def count_states(connection: Connection) -> dict[str, int]:
    """State -> number of models."""
    found = connection.execute(select(model.c.state, func.count()).group_by(model.c.state))
    return {row[0]: row[1] for row in found}


def places_of(connection: Connection, ids: Sequence[int]) -> dict[int, Row]:
    """model_id -> what every log line of a model carries."""
    columns = (model.c[name] for name in ("model_id", "interval", "ticker", "type", "format"))
    places = select(*columns)
    return {
        row["model_id"]: row
        for some in chunks(ids)
        for row in _rows(connection, places.where(model.c.model_id.in_(some)))
    }


def last_history_id(connection: Connection) -> int:
    """The newest line of the history; 0 where there is none."""
    newest = select(func.coalesce(func.max(history.c.history_id), 0))
    return int(connection.execute(newest).scalar_one())


def _models() -> Select[Any]:
    return (
        select(
            model,
            (root.c.path + "/" + model.c.path).label("absolute_path"),
            optimizer.c.learning_rate,
            optimizer.c.config.label("optimizer_config"),
        )
        .join(root)
        .outerjoin(optimizer, optimizer.c.optimizer_id == model.c.optimizer_id)
    )


def _conditions(chosen: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chosen.states:
        conditions.append(model.c.state.in_(chosen.states))
    if chosen.unplaced:
        conditions.append(model.c.unplaced.is_not(None))
    if chosen.interval is not None:
        conditions.append(model.c.interval.op("GLOB")(chosen.interval))
    for column, pattern in (
        (model.c.ticker, chosen.ticker),
        (model.c.type, chosen.type),
        (model.c.format, chosen.format),
        (model.c.family, chosen.family),
        (model.c.optimizer_type, chosen.optimizer),
    ):
        if pattern is not None:
            conditions.append(func.casefold(column).op("GLOB")(pattern.casefold()))
    return conditions


def _order(sort: str) -> tuple[ColumnElement[Any], ...]:
    """By path means as people count: ckpt-7 before ckpt-10."""
    name = sort.removeprefix("-")
    if name == "path":
        columns = (model.c.folder, model.c.family, model.c.step, model.c.path)
        return tuple(one.desc() if sort.startswith("-") else one.asc() for one in columns)
    column = optimizer.c.learning_rate if name == "learning_rate" else model.c.get(name)
    if column is None:
        raise UsageError(
            f"cannot sort by {name!r}: the registry has no such column",
            hint="one of: " + ", ".join([*model.c.keys(), "learning_rate"]),
        )
    return (column.desc() if sort.startswith("-") else column.asc(),)


def _of(connection: Connection, table: Any, model_id: int) -> list[Row]:
    return _rows(connection, select(table).where(table.c.model_id == model_id))


def _rows(connection: Connection, statement: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(statement).mappings()]

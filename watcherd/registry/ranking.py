"""The best of each group by a result, and what each group comes to."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, func, nulls_last, select

from watcherd.errors import UsageError
from watcherd.registry.filters import chosen_models
from watcherd.registry.question import Best, Filter, Question
from watcherd.registry.tables import model
from watcherd.registry.terms import current_result, few, is_recorded, meant, recorded

Row = dict[str, Any]


def keys_of(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns to group by. Raises UsageError with the possible ones."""
    unknown = [name for name in names if name not in model.c]
    if unknown or not names:
        raise UsageError(
            f"models cannot be grouped by {', '.join(unknown) or 'nothing'}",
            hint="one or several, with commas, of: " + ", ".join(model.c.keys()),
        )
    return tuple(dict.fromkeys(names))


def is_best(connection: Connection, chosen: Filter, best: Best) -> ColumnElement[bool]:
    """Whether a model is the first of its group among the chosen ones.

    Of equal results the newest model's counts, then the first path's. Raises UsageError for a
    metric that was never recorded: it is a mistyped one more often than a new one.
    """
    if not is_recorded(connection, best.metric):
        known = recorded(connection)
        there = few(known) or "none yet; watcherd record makes some"
        raise UsageError(
            f"no result is called {best.metric!r}",
            hint=f"{meant(best.metric, known)}there are: {there}",
        )
    groups = [model.c[name] for name in keys_of(best.per)] if best.per else []
    place = func.row_number().over(
        partition_by=groups or None, order_by=(model.c.modified_at.desc(), model.c.path)
    )
    equals = _equally_good(connection, chosen, best, groups)
    ranked = select(model.c.model_id, place.label("place")).where(model.c.model_id.in_(equals))
    told = ranked.subquery()
    return model.c.model_id.in_(select(told.c.model_id).where(told.c.place == 1))


def _equally_good(
    connection: Connection, chosen: Filter, best: Best, groups: Sequence[Column[Any]]
) -> Select[Any]:
    """The models of each group that share its best result: one, but for ties.

    A third faster than to rank them all: each group is read for its best value alone.
    """
    keys = [column.label(f"key_{column.name}") for column in groups]
    value = current_result(best.metric).label("value")
    scored = chosen_models(connection, chosen, model.c.model_id, *keys, value).cte("scored")
    same = [scored.c[key.name] for key in keys]
    extreme = func.min if best.mode == "min" else func.max
    tops = select(*same, extreme(scored.c.value).label("value")).group_by(*same).cte("tops")
    is_top = and_(
        scored.c.value == tops.c.value,
        *(column.is_not_distinct_from(tops.c[column.name]) for column in same),
    )
    return select(scored.c.model_id).join(tops, is_top)


def count_groups(connection: Connection, question: Question, keys: Sequence[str]) -> list[Row]:
    """For each combination of the keys' values: those, ``models`` and ``size_bytes``.

    In the order of the keys; or of one of all these columns, as the question's ``sort`` says.
    Raises UsageError for another.
    """
    columns = [model.c[name] for name in keys_of(keys)]
    counts = (func.count().label("models"), func.sum(model.c.size_bytes).label("size_bytes"))
    statement = (
        chosen_models(connection, question.chosen, *columns, *counts)
        .group_by(*columns)
        .order_by(*_order(question.sort, columns))
        .limit(question.limit)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def _rank(column: Column[Any]) -> ColumnElement[Any]:
    """Intervals in the order of their length: 15m, 1h, 1d."""
    return func.min(model.c.interval_seconds) if column is model.c.interval else column


def _order(sort: str | None, columns: Sequence[Column[Any]]) -> list[ColumnElement[Any]]:
    by = {one.name: _rank(one) for one in columns}
    last = [nulls_last(one) for one in by.values()]
    if sort is None:
        return last
    by |= {"models": func.count(), "size_bytes": func.sum(model.c.size_bytes)}
    name = sort.removeprefix("-")
    if name not in by:
        raise UsageError(f"groups cannot be sorted by {name!r}", hint=f"one of: {', '.join(by)}")
    return [nulls_last(by[name].desc() if sort.startswith("-") else by[name].asc()), *last]

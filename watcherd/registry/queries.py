"""What commands ask of the registry. Rows come as plain dicts whose keys are the column names."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, nulls_last, or_, select

from watcherd.registry.filters import chosen_models, with_optimizers
from watcherd.registry.question import Question
from watcherd.registry.ranking import is_best
from watcherd.registry.records import IS_ON_DISK, chunks
from watcherd.registry.scores import newest
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
from watcherd.registry.terms import RESULT, Term, condition, term
from watcherd.scope import lineage, parent_of

Row = dict[str, Any]

_BY_PATH = (model.c.folder, model.c.family, model.c.step, model.c.path, model.c.model_id)
_COLUMNS = (
    *model.c,
    (root.c.path + "/" + model.c.path).label("absolute_path"),
    optimizer.c.learning_rate,
    optimizer.c.config.label("optimizer_config"),
)


def list_models(connection: Connection, question: Question) -> list[Row]:
    """The models that a question is about: each its row with its optimizer's settings, its
    ``tags``, and ``results``, metric -> newest value of its present content.

    Raises UsageError for names that are not known.
    """
    order = _order(connection, question)
    statement = _rooted(_chosen(connection, question, *_COLUMNS)).order_by(*order)
    return _with_marks(connection, _rows(connection, statement.limit(question.limit)))


def count_models(connection: Connection, question: Question) -> tuple[int, int]:
    """How many ``list_models`` finds without a limit, and their bytes."""
    size = func.coalesce(func.sum(model.c.size_bytes), 0)
    count, size_bytes = connection.execute(_chosen(connection, question, func.count(), size)).one()
    return count, int(size_bytes)


def metrics_in(connection: Connection, question: Question) -> tuple[str, ...]:
    """The results that a question names, each once."""
    terms = [
        *([term(connection, f"{RESULT}{question.best.metric}")] if question.best else []),
        *([term(connection, question.sort.removeprefix("-"))] if question.sort else []),
        *(condition(connection, text)[0] for text in question.chosen.where),
    ]
    return tuple(dict.fromkeys(one.metric for one in terms if one.metric is not None))


def find_model(connection: Connection, model_id: int) -> Row | None:
    """Everything known of one model: its row, files, marks, results, copies and trash entry."""
    asked = _rooted(with_optimizers(*_COLUMNS)).where(model.c.model_id == model_id)
    row = next(iter(_rows(connection, asked)), None)
    if row is None:
        return None
    results = _of(connection, result, model_id)
    for one in results:
        one["current"] = one["fingerprint"] == row["fingerprint"]
    its_copies = (model.c.copy_of == model_id, IS_ON_DISK)
    copies = select(model.c.path).where(*its_copies).order_by(model.c.path)
    return row | {
        "files_seen": _of(connection, model_file, model_id),
        "tags": {one["key"]: one["value"] for one in _of(connection, tag, model_id)},
        "aliases": [one["alias"] for one in _of(connection, alias, model_id)],
        "results": results,
        "copies": list(connection.execute(copies).scalars()),
        "trash": next(iter(_of(connection, trash, model_id)), None),
    }


def ids_at(connection: Connection, path: str, root_id: int | None = None) -> list[int]:
    """The models of a path, the one on disk first, then the newest; files and old paths count.

    ``root_id``: of that root alone.
    """
    of_root = [] if root_id is None else [model.c.root_id == root_id]
    on_disk = model.c.state.in_(("present", "incomplete", "unreadable"))
    # A model's files lie in its folder or below it, by which they are found without an index.
    has_file = (
        select(model_file.c.model_id)
        .join(model)
        .where(model.c.folder.in_([*lineage(parent_of(path))]), model_file.c.path == path)
    )
    found = connection.execute(
        select(model.c.model_id)
        .where(or_(model.c.path == path, model.c.model_id.in_(has_file)), *of_root)
        .order_by(on_disk.desc(), model.c.model_id.desc())
    )
    ids = list(found.scalars())
    if ids:
        return ids
    moved = connection.execute(
        select(history.c.model_id)
        .join(model, model.c.model_id == history.c.model_id)
        .where(history.c.from_path == path, *of_root)
        .order_by(history.c.history_id.desc())
    )
    return list(dict.fromkeys(moved.scalars()))


def root_paths(connection: Connection) -> list[str]:
    """The absolute paths of the models roots that the registry knows."""
    return list(connection.execute(select(root.c.path)).scalars())


def count_states(connection: Connection) -> dict[str, int]:
    """State -> number of models."""
    found = connection.execute(select(model.c.state, func.count()).group_by(model.c.state))
    return {row[0]: row[1] for row in found}


def count_on_disk(connection: Connection) -> int:
    """The number of models on disk: of a partial index, in a tenth of the time that states take."""
    asked = select(func.count()).select_from(model).where(IS_ON_DISK)
    return int(connection.execute(asked).scalar_one())


def places_of(connection: Connection, ids: Sequence[int]) -> dict[int, Row]:
    """model_id -> what every log line of a model carries."""
    columns = (model.c[name] for name in ("model_id", "interval", "ticker", "type", "format"))
    places = select(*columns)
    return {
        row["model_id"]: row
        for some in chunks(ids)
        for row in _rows(connection, places.where(model.c.model_id.in_(some)))
    }


def _chosen(
    connection: Connection, question: Question, *columns: ColumnElement[Any]
) -> Select[Any]:
    statement = chosen_models(connection, question.chosen, *columns)
    if question.best is None:
        return statement
    return statement.where(is_best(connection, question.chosen, question.best))


def _rooted(statement: Select[Any]) -> Select[Any]:
    # An outer join, so that SQLite walks the models and looks up their root, not the other way.
    return statement.outerjoin(root, root.c.root_id == model.c.root_id)


def _with_marks(connection: Connection, rows: list[Row]) -> list[Row]:
    ids = [row["model_id"] for row in rows]
    tags, scores = _tags(connection, ids), newest(connection, ids)
    for row in rows:
        row["tags"] = tags[row["model_id"]]
        row["results"] = scores.get((row["model_id"], row["fingerprint"]), {})
    return rows


def _tags(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str | None]]:
    found: defaultdict[int, dict[str, str | None]] = defaultdict(dict)
    for some in chunks(ids):
        for one in connection.execute(select(tag).where(tag.c.model_id.in_(some))):
            found[one.model_id][one.key] = one.value
    return found


def _order(connection: Connection, question: Question) -> tuple[ColumnElement[Any], ...]:
    """By path means as people count: ckpt-7 before ckpt-10. What is not known comes last."""
    sort = _sort(question)
    name, down = sort.removeprefix("-"), sort.startswith("-")
    if name == "path":
        return tuple(one.desc() if down else one.asc() for one in _BY_PATH)
    column = _rank(term(connection, name))
    return (nulls_last(column.desc() if down else column.asc()), *_BY_PATH)


def _sort(question: Question) -> str:
    if question.sort is not None or question.best is None:
        return "path" if question.sort is None else question.sort
    return f"{'-' if question.best.mode == 'max' else ''}{RESULT}{question.best.metric}"


def _rank(asked: Term) -> ColumnElement[Any]:
    """Intervals in the order of their length: 15m, 1h, 1d."""
    return model.c.interval_seconds if asked.name == "interval" else asked.column


def _of(connection: Connection, table: Any, model_id: int) -> list[Row]:
    return _rows(connection, select(table).where(table.c.model_id == model_id))


def _rows(connection: Connection, statement: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(statement).mappings()]

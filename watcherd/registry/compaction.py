"""Dropping what was asked not to be kept for ever: models long gone, and old history.

Told by a line ``compacted`` of no model, one a run: each transaction replaces it with fuller
figures, so that a run that ends halfway has told the truth.

History stays append-only for everybody else: the trigger that refuses DELETE is lifted and put back
within the transaction that deletes, and DDL is part of a transaction (sqlite.org/lang_transaction).
No other connection ever sees the registry without it, and a crash leaves it where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from watcherd.plan import State, Verb
from watcherd.registry.clock import iso
from watcherd.registry.intents import By
from watcherd.registry.lines import line
from watcherd.registry.notes import PERSON
from watcherd.registry.records import CHUNK
from watcherd.registry.scores import Source
from watcherd.registry.store import Registry
from watcherd.registry.summaries import HAPPENED_AT, summarise, summed_up_to
from watcherd.registry.tables import (
    alias,
    copying,
    history,
    model,
    model_file,
    result,
    tag,
    trash,
    verdict,
)

GOES_ALONG = (history, model_file, result, tag, verdict)
"""Tables whose rows go with their model."""
HOLDS = (alias, copying, trash)
"""Tables of which one row keeps its model: a name, files in the trash, a copy in the making."""

_GONE = (State.MISSING, State.DELETED)
_KEEPER = "history_no_delete"


@dataclass(frozen=True, slots=True)
class Compaction:
    """What was dropped."""

    before: str
    """What is older, as the registry writes times."""
    models: int = 0
    lines: int = 0
    """Of the history."""


def forget_missing(
    registry: Registry, before: int, by: By, now: int, between: Callable[[], None]
) -> Compaction:
    """Drop the unmarked models that have been missing or deleted since ``before``, and of which
    nothing was said since, with all that is known of them. Times in ns since the epoch.

    ``between`` is called between the transactions.
    """
    telling = _Telling(by, now, Compaction(iso(before)))
    last = 0
    while ids := _candidates(registry, model.c.model_id > last, telling.done.before):
        with registry.writing() as connection:
            # Again: a person may have said something in between.
            held = model.c.model_id.in_(ids)
            still = list(connection.execute(_forgettable(held, telling.done.before)).scalars())
            if still:
                _forget(connection, still, telling)
        last = ids[-1]
        between()
    return telling.done


def drop_history(
    registry: Registry, before: int, by: By, now: int, between: Callable[[], None]
) -> Compaction:
    """Drop the lines from before ``before``, in ns since the epoch.

    Where no line of a model stands for them yet, one is added that does. The line that does stays,
    however old it is, and so does what was told of compactions.
    """
    telling = _Telling(by, now, Compaction(iso(before)))
    last = ("", 0)
    while page := _old_lines(registry, telling.done.before, last):
        with registry.writing() as connection:
            _drop(connection, page, telling)
        last = (page[-1].at, page[-1].history_id)
        between()
    return telling.done


@dataclass
class _Telling:
    """The line about one run."""

    by: By
    now: int
    done: Compaction
    _history_id: int | None = None

    def add(self, connection: Connection, *, models: int, lines: int) -> None:
        """To be called while history may be deleted."""
        connection.execute(delete(history).where(history.c.history_id == self._history_id))
        done = self.done
        self.done = Compaction(done.before, done.models + models, done.lines + lines)
        told = line(None, "", Verb.COMPACTED, self.by, self.now, details=asdict(self.done))
        made = connection.execute(insert(history).values(told)).inserted_primary_key
        assert made is not None  # it has an integer key
        self._history_id = made[0]


@contextmanager
def _deleting_history(connection: Connection) -> Iterator[None]:
    """Within a transaction that is undone where anything fails in here."""
    said = text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    keeper: str = connection.execute(said, {"name": _KEEPER}).scalar_one()
    connection.exec_driver_sql(f"DROP TRIGGER {_KEEPER}")
    yield
    connection.exec_driver_sql(keeper)


# -- models ----------------------------------------------------------------------------------------


def _candidates(registry: Registry, place: ColumnElement[bool], before: str) -> list[int]:
    asked = _forgettable(place, before).order_by(model.c.model_id).limit(CHUNK)
    with registry.reading() as connection:
        return list(connection.execute(asked).scalars())


def _forgettable(place: ColumnElement[bool], before: str) -> Any:
    """Which models of a place nobody will ask for any more."""
    said_by_note = func.json_extract(model.c.note_said, "$.note")
    copy = model.alias()
    last = select(func.max(HAPPENED_AT)).where(history.c.model_id == model.c.model_id)
    return select(model.c.model_id).where(
        place,
        model.c.state.in_(_GONE),
        model.c.pinned == 0,
        model.c.note.is_(None) | model.c.note.is_not_distinct_from(said_by_note),
        ~_has(tag, tag.c.source == PERSON),
        ~_has(result, result.c.source == Source.RECORD),
        *(~_has(table) for table in HOLDS),
        # A copy that is gone, too, goes first: the next run finds its model free.
        ~exists().where(copy.c.copy_of == model.c.model_id),
        last.scalar_subquery() < before,
    )


def _has(table: Any, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(table.c.model_id == model.c.model_id, *more)


def _forget(connection: Connection, ids: Sequence[int], telling: _Telling) -> None:
    with _deleting_history(connection):
        gone = {
            table: connection.execute(delete(table).where(table.c.model_id.in_(ids))).rowcount
            for table in (*GOES_ALONG, model)
        }
        telling.add(connection, models=gone[model], lines=gone[history])


# -- lines -----------------------------------------------------------------------------------------


class _Line(NamedTuple):
    history_id: int
    at: str
    model_id: int | None


def _old_lines(registry: Registry, before: str, last: tuple[str, int]) -> list[_Line]:
    """The next lines that may go, or will once a later one stands for them, by their time."""
    place = (history.c.at, history.c.history_id)
    later = history.alias("later")
    is_summed = exists().where(
        # In letters, so that the partial index serves it.
        literal_column("later.verb = 'compacted'"),
        later.c.model_id == history.c.model_id,
        later.c.history_id > history.c.history_id,
    )
    asked = (
        select(history.c.history_id, history.c.at, history.c.model_id)
        .where(
            history.c.at < before,
            tuple_(*place) > tuple_(*last),
            or_(history.c.verb != Verb.COMPACTED, is_summed),
        )
        .order_by(*place)
        .limit(CHUNK)
    )
    with registry.reading() as connection:
        return [_Line(*row) for row in connection.execute(asked)]


def _drop(connection: Connection, page: Sequence[_Line], telling: _Telling) -> None:
    newest = {one.model_id: one.history_id for one in sorted(page) if one.model_id is not None}
    summed = summed_up_to(connection, newest)
    open_ = [key for key, last in newest.items() if summed.get(key, 0) < last]
    summaries = summarise(connection, open_, telling.by, telling.now)
    if summaries:
        connection.execute(insert(history), summaries)
    replaced = [summed[key] for key in open_ if key in summed]
    old = (
        history.c.history_id.in_([*replaced, *(one.history_id for one in page)]),
        history.c.at < telling.done.before,
    )
    with _deleting_history(connection):
        dropped = connection.execute(delete(history).where(*old)).rowcount
        telling.add(connection, models=0, lines=dropped)

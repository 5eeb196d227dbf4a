"""Marks: what people say about a model. They belong to its row, whatever becomes of its files.

Each is one transaction with its line in the history, and counts in the row's revision, so that what
was decided before is decided anew. What is so already is no change, and not told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from watcherd.errors import NoSuchModel, Refused
from watcherd.plan import Verb
from watcherd.registry.intents import By
from watcherd.registry.lines import line
from watcherd.registry.notes import PERSON
from watcherd.registry.store import Registry
from watcherd.registry.tables import alias, history, model, root, tag


def pin(registry: Registry, model_id: int, by: By, now: int) -> bool:
    """Pin a model; whether it was not pinned before."""
    with marking(registry, model_id, by, now) as one:
        return not one.row.pinned and one.change(Verb.PINNED, pinned=1)


def unpin(registry: Registry, model_id: int, by: By, now: int) -> bool:
    """Unpin a model; whether it was pinned."""
    with marking(registry, model_id, by, now) as one:
        return bool(one.row.pinned) and one.change(Verb.UNPINNED, pinned=0)


def note(registry: Registry, model_id: int, text: str, by: By, now: int) -> bool:
    """Write a person's note about a model, in place of the one that is there; an empty one removes
    it."""
    with marking(registry, model_id, by, now) as one:
        said = text or None
        return one.row.note != said and one.change(Verb.NOTED, {"note": said}, note=said)


def set_tag(
    registry: Registry, model_id: int, key: str, value: str | None, by: By, now: int
) -> bool:
    """Tag a model; whether a person had not given it this value already.

    A tag of the note beside it becomes a person's by that, and stays when it leaves the note.
    """
    with marking(registry, model_id, by, now) as one:
        here = (tag.c.model_id == model_id) & (tag.c.key == key)
        known = one.connection.execute(select(tag.c.value, tag.c.source).where(here)).one_or_none()
        if known == (value, PERSON):
            return False
        one.connection.execute(delete(tag).where(here))
        row = {"model_id": model_id, "key": key, "value": value, "source": PERSON}
        one.connection.execute(insert(tag).values(row))
        return one.change(Verb.TAGGED, {"key": key, "value": value, "source": PERSON})


def drop_tag(registry: Registry, model_id: int, key: str, by: By, now: int) -> bool:
    """Take a tag away, whoever gave it; whether it was there."""
    with marking(registry, model_id, by, now) as one:
        here = (tag.c.model_id == model_id) & (tag.c.key == key)
        found = one.connection.execute(delete(tag).where(here)).rowcount
        return bool(found) and one.change(Verb.UNTAGGED, {"key": key, "source": PERSON})


def set_alias(registry: Registry, model_id: int, name: str, by: By, now: int) -> bool:
    """Give a model an alias; whether it did not have it already.

    Raises Refused where another model of the same interval, ticker and type has it; without them,
    another such model of the same folder.
    """
    with marking(registry, model_id, by, now) as one:
        holders = one.connection.execute(
            select(model.c.model_id, model.c.path, model.c.state)
            .join(alias)
            .where(alias.c.alias == name, _same_place(one.row))
        ).all()
        if any(holder.model_id == model_id for holder in holders):
            return False
        for holder in holders:
            raise Refused(
                f"{name} is model {holder.model_id} already: {holder.path} ({holder.state})",
                hint=f"watcherd unalias {holder.model_id} takes the name away from it, or choose "
                "another one",
            )
        one.connection.execute(insert(alias).values(model_id=model_id, alias=name))
        return one.change(Verb.ALIASED, {"alias": name})


def drop_alias(registry: Registry, model_id: int, name: str, by: By, now: int) -> bool:
    """Take an alias away; whether the model had it."""
    with marking(registry, model_id, by, now) as one:
        here = (alias.c.model_id == model_id) & (alias.c.alias == name)
        found = one.connection.execute(delete(alias).where(here)).rowcount
        return bool(found) and one.change(Verb.UNALIASED, {"alias": name})


def ids_of_alias(registry: Registry, root_path: str, name: str) -> list[int]:
    """The models that ``1h/BTCUSDT/LSTM@champion`` means, or ``folder@champion`` without placement.

    One, unless a model with that alias was moved to where another has it. Both halves may hold
    an ``@`` themselves.
    """
    halves = [(name[:at], name[at + 1 :]) for at, sign in enumerate(name) if sign == "@"]
    asked = (
        select(model, alias.c.alias)
        .join(alias)
        .join(root)
        .where(root.c.path == root_path, alias.c.alias.in_([after for _, after in halves]))
        .order_by(model.c.model_id)
    )
    with registry.reading() as connection:
        rows = connection.execute(asked).all()
    return [row.model_id for row in rows if (_place(row), row.alias) in halves]


def _place(row: Row[Any]) -> str:
    words = (row.interval, row.ticker, row.type or row.ensemble_type)
    return row.folder if row.unplaced is not None else "/".join(filter(None, words))


def _same_place(row: Row[Any]) -> ColumnElement[bool]:
    """Whether a model's alias would be the same name as one of this row."""
    if row.unplaced is not None:
        return and_(
            model.c.root_id == row.root_id,
            model.c.unplaced.is_not(None),
            model.c.folder == row.folder,
        )
    # A model that has copies bears their ensembles beside its type, which alone is its place.
    kind = func.coalesce(model.c.type, model.c.ensemble_type)
    return and_(
        model.c.root_id == row.root_id,
        model.c.unplaced.is_(None),
        model.c.interval.is_not_distinct_from(row.interval),
        model.c.ticker.is_not_distinct_from(row.ticker),
        kind.is_not_distinct_from(row.type or row.ensemble_type),
    )


@dataclass(frozen=True, slots=True)
class Marking:
    """One model under the write lock."""

    connection: Connection
    row: Row[Any]
    by: By
    now: int

    def change(
        self, verb: Verb, details: dict[str, object] | None = None, **columns: object
    ) -> bool:
        """Change its row, count that, and tell it. Always true: there is a change."""
        here = model.c.model_id == self.row.model_id
        self.connection.execute(
            update(model).where(here).values(revision=model.c.revision + 1, **columns)
        )
        told = line(self.row.model_id, self.row.path, verb, self.by, self.now, details=details)
        self.connection.execute(insert(history).values(told))
        return True


@contextmanager
def marking(registry: Registry, model_id: int, by: By, now: int) -> Iterator[Marking]:
    """One write transaction upon a model. Raises NoSuchModel."""
    with registry.writing() as connection:
        row = connection.execute(select(model).where(model.c.model_id == model_id)).one_or_none()
        if row is None:
            raise NoSuchModel(
                f"the registry knows no model {model_id} any more",
                hint="watcherd list shows what it knows",
            )
        yield Marking(connection, row, by, now)

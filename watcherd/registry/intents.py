"""The trash table: what is on its way out, in the trash, or on its way back.

A row is an intent. It is written before the first file moves, and only if the model is still what
was decided upon; what became of it the cycle sees on the disk. It goes when the model is back in
its place, or purged.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from watcherd.artifact import Part
from watcherd.plan import Record, State, Verb
from watcherd.registry.clock import iso, ns_of
from watcherd.registry.companions import leave_shared
from watcherd.registry.records import IS_ON_DISK, chunks, records_where
from watcherd.registry.tables import alias, copying, model, trash
from watcherd.scope import Cause

if TYPE_CHECKING:
    from watcherd.registry.store import Registry


class Direction(StrEnum):
    """Where an intent's files are meant to be."""

    OUT = "out"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class By:
    """Who meant something: the history names them, whichever process sees it done."""

    actor: str
    cause: Cause


class Removal(NamedTuple):
    """A model that is to go, as it was when that was decided."""

    model_id: int
    path: str
    revision: int
    reasons: tuple[str, ...]
    with_id: int | None = None
    """Of a copy that goes with its model: the model."""


class Terms(NamedTuple):
    """Of a removal: how it is called, for how long, and who means it."""

    verb: Verb
    """``pruned`` by rule; ``deleted`` by a person."""
    now: int
    expires: int
    """Both in ns since the epoch."""
    by: By
    force: bool = False
    """Marks, and what a trainer resumes from, hold nobody back."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A model whose files are, or are to be, in the trash or back from it."""

    record: Record
    trash_path: str
    direction: Direction
    reasons: tuple[str, ...]
    verb: Verb
    trashed_ns: int
    expires_ns: int
    with_id: int | None = None

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(part.fact.size for part in self.record.parts)


def intend(registry: "Registry", wanted: Mapping[str, Removal], terms: Terms) -> dict[int, Intent]:
    """Write the intents to move models out: trash path -> model. One transaction for all.

    Returns model_id -> intent of those that are still what was decided upon. State and marks are
    looked at again here, under the write lock: a pin that was set since the decision holds.
    """
    with registry.writing() as connection:
        fit = _records_fit_to_go(connection, [one.model_id for one in wanted.values()], terms)
        decided = {one.model_id: one.revision for one in wanted.values()}
        current = {key: one for key, one in fit.items() if one.revision == decided[key]}
        records = leave_shared(connection, current)
        intents = {
            one.model_id: Intent(
                records[one.model_id], trash_path, Direction.OUT, one.reasons,
                terms.verb, terms.now, terms.expires, one.with_id,
            )
            for trash_path, one in wanted.items()
            if one.model_id in records
        }  # fmt: skip
        if intents:
            connection.execute(insert(trash), [_row(one, terms.by) for one in intents.values()])
    return intents


def _records_fit_to_go(
    connection: Connection, ids: Sequence[int], terms: Terms
) -> dict[int, Record]:
    """A rule takes complete models only; a person any that is on disk. What is being copied into an
    ensemble stays, so that its copy does not arrive without it."""
    is_free: tuple[ColumnElement[bool], ...] = (~exists().where(_of(trash)),)
    if terms.verb is Verb.PRUNED:
        alone = (model.c.ensemble == 0, model.c.copy_of.is_(None))
        is_free += (model.c.state == State.PRESENT, *alone)
    if not terms.force:
        is_free += (model.c.pinned == 0, model.c.resume == 0)
        is_free += (~exists().where(_of(alias)), ~exists().where(_of(copying)))
    return {
        record.model_id: record
        for some in chunks(ids)
        for record in records_where(connection, model.c.model_id.in_(some), IS_ON_DISK, *is_free)
    }


def _row(intent: Intent, by: By) -> dict[str, object]:
    return {
        "model_id": intent.record.model_id,
        "trash_path": intent.trash_path,
        "trashed_at": iso(intent.trashed_ns),
        "expires_at": iso(intent.expires_ns),
        "reasons": json.dumps(intent.reasons),
        "actor": by.actor,
        "cause": by.cause,
        "verb": intent.verb,
        "with_id": intent.with_id,
    }


def cancel(registry: "Registry", ids: Sequence[int]) -> None:
    """Forget intents: nothing of these models is in the trash."""
    if ids:
        with registry.writing() as connection:
            forget(connection, ids)


def turn(
    registry: "Registry", ids: Sequence[int], direction: Direction, by: By | None = None
) -> None:
    """Mean trashed models' files to be elsewhere from now on."""
    meant = {"actor": by.actor, "cause": by.cause} if by else {}
    if not ids:
        return
    with registry.writing() as connection:
        connection.execute(
            update(trash)
            .where(trash.c.model_id == bindparam("id_"))
            .values(direction=direction, **meant),
            [{"id_": one} for one in ids],
        )


def forget(connection: Connection, ids: Sequence[int]) -> None:
    """The rows of these models go."""
    connection.execute(
        delete(trash).where(trash.c.model_id == bindparam("id_")), [{"id_": one} for one in ids]
    )


def load_parts(registry: "Registry", ids: Sequence[int]) -> dict[int, tuple[Part, ...]]:
    """model_id -> its files as last seen."""
    with registry.reading() as connection:
        return {
            record.model_id: record.parts
            for some in chunks(ids)
            for record in records_where(connection, model.c.model_id.in_(some))
        }


def find_intents(registry: "Registry", ids: Sequence[int]) -> dict[int, Intent]:
    """model_id -> what the trash table says of it; nothing of models that are not in it."""
    with registry.reading() as connection:
        found = [
            intent
            for some in chunks(ids)
            for intent in _intents(connection, trash.c.model_id.in_(some))
        ]
    return {intent.record.model_id: intent for intent in found}


def list_intents(registry: "Registry", root_id: int) -> list[Intent]:
    """What the trash table holds, the oldest first."""
    with registry.reading() as connection:
        return _intents(connection, _is_of(root_id))


_UNSETTLED = or_(IS_ON_DISK, trash.c.direction == Direction.BACK)


def list_unsettled(registry: "Registry", root_id: int) -> list[Intent]:
    """What a crash may have left half done, the oldest first: what is on its way out while its row
    is still on disk, and all that is on its way back."""
    with registry.reading() as connection:
        return _intents(connection, _is_of(root_id, _UNSETTLED))


def are_unsettled(registry: "Registry", root_id: int) -> bool:
    """Whether there is any such intent."""
    asked = select(trash.c.model_id).where(_is_of(root_id, _UNSETTLED)).limit(1)
    with registry.reading() as connection:
        return connection.execute(asked).first() is not None


def _is_of(root_id: int, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    """Asked before every cycle: from the few in the trash to their rows, never the other way round,
    as SQLite would join them."""
    return exists().where(_of(trash), model.c.root_id == root_id, *more)


def list_trash(registry: "Registry", root_id: int) -> list[dict[str, Any]]:
    """What is in the trash, the oldest first, as rows that can be printed."""
    return [
        {
            "model_id": one.record.model_id,
            "path": one.record.path,
            "size_bytes": one.size_bytes,
            "trash_path": one.trash_path,
            "trashed_at": iso(one.trashed_ns),
            "expires_at": iso(one.expires_ns),
            "verb": one.verb,
            "reasons": list(one.reasons),
        }
        for one in list_intents(registry, root_id)
    ]


def known_places(registry: "Registry", root_id: int) -> frozenset[str]:
    """The folders in the trash that belong to a model, or to a copy that is being made."""
    asked = (
        select(trash.c.trash_path).join(model).where(model.c.root_id == root_id),
        select(copying.c.trash_path).where(copying.c.root_id == root_id),
    )
    with registry.reading() as connection:
        return frozenset(path for one in asked for path in connection.execute(one).scalars())


def _intents(connection: Connection, chosen: ColumnElement[bool]) -> list[Intent]:
    order = (trash.c.trashed_at, trash.c.model_id)
    rows = connection.execute(select(trash).where(chosen).order_by(*order)).all()
    records = {
        record.model_id: record
        for some in chunks([row.model_id for row in rows])
        for record in records_where(connection, model.c.model_id.in_(some))
    }
    return [
        Intent(
            records[row.model_id],
            row.trash_path,
            Direction(row.direction),
            tuple(json.loads(row.reasons)),
            Verb(row.verb),
            ns_of(row.trashed_at),
            ns_of(row.expires_at or row.trashed_at),
            row.with_id,
        )
        for row in rows
    ]


def _of(table: Table) -> ColumnElement[bool]:
    return table.c.model_id == model.c.model_id

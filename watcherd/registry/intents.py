"""The trash table: what is on its way out, in the trash, or on its way back.

A row is an intent. It is written before the first file moves, and only if the model is still what
was decided upon; what became of it the cycle sees on the disk.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, insert, or_, select, update

from watcherd.plan import Candidate, Record, State
from watcherd.registry.clock import iso, ns_of
from watcherd.registry.records import IS_ON_DISK, records_where
from watcherd.registry.tables import alias, architecture, model, trash
from watcherd.scope import Cause


class Direction(StrEnum):
    """Where an intent's files are meant to be."""

    OUT = "out"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class By:
    """Who meant something: the history names them, whichever process sees it done."""

    actor: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Intent:
    """A model whose files are, or are to be, in the trash or back from it."""

    record: Record
    trash_path: str
    direction: Direction
    reasons: tuple[str, ...]


def list_candidates(connection: Connection, root_id: int) -> list[Candidate]:
    """Every model on disk as retention sees it; copies in ensembles go with their models."""
    has_alias = exists().where(alias.c.model_id == model.c.model_id)
    rows = connection.execute(
        select(model, architecture.c.likeness, has_alias.label("aliased"))
        .outerjoin(architecture)
        .where(
            model.c.root_id == root_id,
            IS_ON_DISK,
            model.c.copy_of.is_(None),
        )
    )
    return [
        Candidate(
            model_id=row.model_id,
            path=row.path,
            interval=row.interval,
            ticker=row.ticker,
            type=row.type,
            format=row.format,
            family=row.family,
            architecture=row.likeness,
            step=row.step,
            state=State(row.state),
            modified_ns=ns_of(row.modified_at),
            seen_ns=ns_of(row.placed_at),
            size_bytes=row.size_bytes,
            revision=row.revision,
            resume=bool(row.resume),
            pinned=bool(row.pinned),
            aliased=bool(row.aliased),
        )
        for row in rows
    ]


def intend(
    connection: Connection,
    one: Candidate,
    trash_path: str,
    reasons: Sequence[str],
    *,
    now: int,
    expires: int,
    by: By,
) -> Intent | None:
    """Write the intent to move a model out; None if it is not what was decided upon any more.

    State and marks are looked at again here, under the write lock: a pin that was set since the
    decision holds. Times are in ns since the epoch.
    """
    unmarked = (model.c.pinned == 0, model.c.resume == 0, ~exists().where(_of(alias)))
    decided_upon = (
        model.c.model_id == one.model_id,
        model.c.revision == one.revision,
        model.c.state == State.PRESENT,
    )
    found = records_where(connection, *decided_upon, *unmarked, ~exists().where(_of(trash)))
    if not found:
        return None
    connection.execute(
        insert(trash).values(
            model_id=one.model_id,
            trash_path=trash_path,
            trashed_at=iso(now),
            expires_at=iso(expires),
            reasons=json.dumps(list(reasons)),
            actor=by.actor,
            cause=by.cause,
        )
    )
    return Intent(found[0], trash_path, Direction.OUT, tuple(reasons))


def list_intents(connection: Connection, root_id: int, *, unsettled: bool = False) -> list[Intent]:
    """What the trash table holds; ``unsettled``: only what a crash may have left half done.

    That is what is on its way out while its row is still on disk, and all that is on its way back.
    """
    chosen = [model.c.root_id == root_id]
    if unsettled:
        chosen.append(or_(IS_ON_DISK, trash.c.direction == Direction.BACK))
    return _intents(connection, chosen)


def find_intent(connection: Connection, model_id: int) -> Intent | None:
    """What the trash table says of one model."""
    return next(iter(_intents(connection, [trash.c.model_id == model_id])), None)


def _intents(connection: Connection, chosen: list[ColumnElement[bool]]) -> list[Intent]:
    rows = connection.execute(select(trash).join(model).where(*chosen)).all()
    ids = select(trash.c.model_id).join(model).where(*chosen)
    found = records_where(connection, model.c.model_id.in_(ids)) if rows else []
    records = {record.model_id: record for record in found}
    return [
        Intent(
            records[row.model_id],
            row.trash_path,
            Direction(row.direction),
            tuple(json.loads(row.reasons)),
        )
        for row in rows
    ]


def cancel(connection: Connection, model_id: int) -> None:
    """Forget an intent: nothing of the model is in the trash."""
    connection.execute(delete(trash).where(trash.c.model_id == model_id))


def turn(connection: Connection, model_id: int, direction: Direction, by: By | None) -> None:
    """Mean a trashed model's files to be elsewhere from now on."""
    meant = {"actor": by.actor, "cause": by.cause} if by else {}
    connection.execute(
        update(trash).where(trash.c.model_id == model_id).values(direction=direction, **meant)
    )


def _of(table: Table) -> ColumnElement[bool]:
    return table.c.model_id == model.c.model_id

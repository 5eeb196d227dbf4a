"""What TensorFlow has yet to open, and what it said: of content, as results are.

``verified`` is null where nothing can be said; ``verified_at`` tells whether it was tried. Other
content at the path clears both.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, literal_column, select, update

from watcherd.artifact import ASIDE, Part, Role
from watcherd.plan import Format, Record, Verb
from watcherd.proof import VERIFIED, Answer, Proof, Subject
from watcherd.registry.architectures import config_of, fitting
from watcherd.registry.clock import iso
from watcherd.registry.intents import By
from watcherd.registry.lines import line
from watcherd.registry.records import records_where
from watcherd.registry.store import Registry
from watcherd.registry.tables import history, model

IS_PRESENT: ColumnElement[bool] = literal_column("model.state = 'present'")
IS_UNVERIFIED: ColumnElement[bool] = literal_column("model.verified IS NULL")
"""In letters: SQLite takes the partial index only where it can prove its condition."""

FITTING = 3
"""Architectures that weights are tried with, those of most models first."""

_CAN_BE = (IS_PRESENT, model.c.fingerprint.is_not(None), model.c.format != Format.HDF5)
"""HDF5 that is no model of Keras is nothing that TensorFlow opens."""


def to_verify(registry: Registry, root_id: int, *, again: bool = False) -> list[int]:
    """The present models that TensorFlow did not open yet, in the order of their paths.

    ``again``: all present ones.
    """
    which = () if again else (IS_UNVERIFIED,)
    order = (model.c.folder, model.c.family, model.c.step, model.c.path)
    asked = select(model.c.model_id).where(model.c.root_id == root_id, *_CAN_BE, *which)
    with registry.reading() as connection:
        return list(connection.execute(asked.order_by(*order)).scalars())


def next_to_verify(
    registry: Registry, root_id: int, since: str, but: Collection[int] = ()
) -> int | None:
    """The model whose content is newest, of those that were not tried ``since`` a time."""
    untried = model.c.verified_at.is_(None) | (model.c.verified_at < since)
    asked = (
        select(model.c.model_id)
        .where(model.c.root_id == root_id, *_CAN_BE, IS_UNVERIFIED, untried)
        .where(model.c.model_id.not_in(but))
        .order_by(model.c.changed_at.desc())
        .limit(1)
    )
    with registry.reading() as connection:
        return connection.execute(asked).scalar()


def subject_of(registry: Registry, model_id: int) -> Subject | None:
    """What is to be opened of a model; None where it is not present, or none of Keras's."""
    with registry.reading() as connection:
        here = (model.c.model_id == model_id, *_CAN_BE)
        row = connection.execute(select(model).where(*here)).mappings().one_or_none()
        if row is None:
            return None
        is_weights = row["format"] == Format.WEIGHTS_H5
        fits = fitting(connection, dict(row))[:FITTING] if is_weights else []
        configs = {fit.architecture_id: config_of(connection, fit.architecture_id) for fit in fits}
        return Subject(
            records_where(connection, model.c.model_id == model_id)[0],
            Format(row["format"]),
            tuple(json.loads(row["custom_objects"] or "[]")),
            {number: config for number, config in configs.items() if config is not None},
        )


def write(
    registry: Registry,
    subject: Subject,
    proof: Proof,
    by: By,
    now: int,
    still_holds: Callable[[], bool],
) -> bool:
    """Write what TensorFlow said, if the model still is what was opened; whether it was written.

    ``still_holds`` looks at the disk, under the write lock. The revision is left alone: nothing is
    decided by this, and what was decided meanwhile need not be decided anew. That a model still
    opens is no news, and not told in the history.
    """
    with registry.writing() as connection:
        row = _unchanged(connection, subject.record)
        if row is None or not still_holds():
            return False
        said = VERIFIED[proof.answer]
        connection.execute(
            update(model)
            .where(model.c.model_id == subject.model_id)
            .values(verified=said, verified_at=iso(now))
        )
        if not (row.verified and said):
            told = _line(subject.record, proof, by, now)
            connection.execute(insert(history).values(told))
        return True


def _unchanged(connection: Connection, known: Record) -> Row[tuple[int | None]] | None:
    """The row, where content, place and files are those that were opened."""
    found = records_where(connection, model.c.model_id == known.model_id, IS_PRESENT)
    if not any(
        (one.path, one.fingerprint, content_parts(one.parts))
        == (known.path, known.fingerprint, content_parts(known.parts))
        for one in found
    ):
        return None
    asked = select(model.c.verified).where(model.c.model_id == known.model_id)
    return connection.execute(asked).one()


def content_parts(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The files that hold the model: notes, companions and leftovers come and go beside it."""
    aside = {*ASIDE, Role.TEMPORARY}
    return tuple(part for part in parts if part.role not in aside)


def _line(record: Record, proof: Proof, by: By, now: int) -> dict[str, object]:
    details = {
        "answer": proof.answer,
        "reason": proof.reason,
        "judge": proof.judge,
        "architecture_id": proof.architecture_id,
        "fingerprint": record.fingerprint,
    }
    verb = Verb.VERIFIED if proof.answer is Answer.OPENED else Verb.UNVERIFIED
    told = {key: value for key, value in details.items() if value is not None}
    return line(record.model_id, record.path, verb, by, now, details=told)


def why_unverified(connection: Connection, row: Mapping[str, Any]) -> str | None:
    """What TensorFlow said last against a model, by its row; None where it said nothing."""
    if row["verified_at"] is None or row["verified"]:
        return None
    asked = (
        select(history.c.details)
        .where(history.c.model_id == row["model_id"], history.c.verb == Verb.UNVERIFIED)
        .order_by(history.c.history_id.desc())
    )
    details = connection.execute(asked.limit(1)).scalar()
    return json.loads(details).get("reason") if details else None

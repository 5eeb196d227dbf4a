"""What TensorFlow has yet to open, and what it said: of content, as results are.

``verified`` is null where nothing can be said; ``verified_at`` tells whether it was tried. Other
files at the path, or an overwrite of one, clear both.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)

from watcherd.artifact import files_of
from watcherd.plan import Format, Record, Verb
from watcherd.proof import VERIFIED, Answer, Proof, Subject
from watcherd.registry.architectures import config_of, fitting
from watcherd.registry.clock import iso
from watcherd.registry.intents import By
from watcherd.registry.lines import line
from watcherd.registry.records import chunks, records_where
from watcherd.registry.store import Registry
from watcherd.registry.tables import history, model

Said = dict[str, Any]

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


class Place(NamedTuple):
    """Of a model among those to be verified, the newest content first."""

    changed_at: str
    model_id: int


NEWEST = Place("~", 0)
"""Above every time as the registry writes them."""


def next_to_verify(registry: Registry, root_id: int, since: str, below: Place) -> Place | None:
    """The next model ``below`` a place, of those that were not tried ``since`` a time."""
    place = (model.c.changed_at, model.c.model_id)
    untried = model.c.verified_at.is_(None) | (model.c.verified_at < since)
    asked = (
        select(*place)
        .where(model.c.root_id == root_id, *_CAN_BE, IS_UNVERIFIED, untried)
        .where(tuple_(*place) < tuple_(*below))
        .order_by(*(column.desc() for column in place))
        .limit(1)
    )
    with registry.reading() as connection:
        row = connection.execute(asked).one_or_none()
    return None if row is None else Place(*row)


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
    decided by this, and what was decided meanwhile need not be decided anew. What was said last of
    the same content, by the same judge, is no news, and not told in the history again.
    """
    with registry.writing() as connection:
        if not (_is_unchanged(connection, subject.record) and still_holds()):
            return False
        connection.execute(
            update(model)
            .where(model.c.model_id == subject.model_id)
            .values(verified=VERIFIED[proof.answer], verified_at=iso(now))
        )
        said = _details(subject.record, proof)
        if last_said(connection, [subject.model_id]).get(subject.model_id) != said:
            told = _line(subject.record, said, by, now)
            connection.execute(insert(history).values(told))
        return True


def _is_unchanged(connection: Connection, known: Record) -> bool:
    """Whether the row's content, place and files are those that were opened."""
    found = records_where(connection, model.c.model_id == known.model_id, IS_PRESENT)
    return any(
        (one.path, one.fingerprint, files_of(one.parts))
        == (known.path, known.fingerprint, files_of(known.parts))
        for one in found
    )


def _details(record: Record, proof: Proof) -> Said:
    details = {
        "answer": proof.answer,
        "reason": proof.reason,
        "judge": proof.judge,
        "architecture_id": proof.architecture_id,
        "fingerprint": record.fingerprint,
    }
    return {key: value for key, value in details.items() if value is not None}


def _line(record: Record, said: Said, by: By, now: int) -> Said:
    verb = Verb.VERIFIED if said["answer"] == Answer.OPENED else Verb.UNVERIFIED
    return line(record.model_id, record.path, verb, by, now, details=said)


def last_said(connection: Connection, ids: Collection[int]) -> dict[int, Said]:
    """model_id -> what TensorFlow said of it last: ``answer``, ``reason``, ``judge``,
    ``fingerprint``, ``architecture_id``. A summary passes on what it stands for."""
    verbs = (Verb.VERIFIED, Verb.UNVERIFIED, Verb.COMPACTED)
    last = select(func.max(history.c.history_id)).where(history.c.verb.in_(verbs))
    told = select(history.c.model_id, history.c.verb, history.c.details)
    found: dict[int, Said] = {}
    for some in chunks(list(ids)):
        lines = last.where(history.c.model_id.in_(some)).group_by(history.c.model_id)
        for row in connection.execute(told.where(history.c.history_id.in_(lines))):
            said = json.loads(row.details)
            if row.verb == Verb.COMPACTED:
                said = said.get("verification")
            if said:
                found[row.model_id] = said
    return found


def why_unverified(connection: Connection, row: Mapping[str, Any]) -> str | None:
    """What TensorFlow said last against a model, by its row; None where it said nothing."""
    if row["verified_at"] is None or row["verified"]:
        return None
    return last_said(connection, [row["model_id"]]).get(row["model_id"], {}).get("reason")

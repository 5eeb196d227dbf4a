"""The line of the history that stands for all of a model's before it: where it is, its state, its
marks, the results that count, as the tables have them now, and what TensorFlow said of it last."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, case, func, literal_column, select

from watcherd.plan import Verb
from watcherd.registry.intents import By
from watcherd.registry.lines import line
from watcherd.registry.records import chunks
from watcherd.registry.scores import newest
from watcherd.registry.tables import alias, history, model, tag
from watcherd.registry.verifications import last_said

Row = dict[str, Any]

HAPPENED_AT = case(
    (history.c.verb == Verb.COMPACTED, func.json_extract(history.c.details, "$.since")),
    else_=history.c.at,
)
"""When something happened last to a line's model: a summary is no event in its life."""


def summed_up_to(connection: Connection, ids: Collection[int]) -> dict[int, int]:
    """model_id -> the number of its newest summary; nothing of models that have none."""
    last = select(history.c.model_id, func.max(history.c.history_id)).where(
        # In letters, so that the partial index serves it.
        literal_column("history.verb = 'compacted'")
    )
    return {
        row[0]: row[1]
        for some in chunks(list(ids))
        for row in connection.execute(
            last.where(history.c.model_id.in_(some)).group_by(history.c.model_id)
        )
    }


def summarise(connection: Connection, ids: Collection[int], by: By, now: int) -> list[Row]:
    """The summaries of some models, to be added to the history; ``now`` in ns since the epoch."""
    marks = _marks(connection, ids)
    since = _since(connection, ids)
    results = newest(connection, ids)
    said = last_said(connection, ids)
    columns = (
        model.c.model_id, model.c.path, model.c.state, model.c.fingerprint, model.c.pinned,
        model.c.note,
    )  # fmt: skip
    return [
        line(
            row.model_id,
            row.path,
            Verb.COMPACTED,
            by,
            now,
            details={
                "state": row.state,
                "since": since[row.model_id],
                **_kept(
                    fingerprint=row.fingerprint,
                    pinned=bool(row.pinned),
                    note=row.note,
                    results=results.get((row.model_id, row.fingerprint)),
                    verification=_of_content(said.get(row.model_id), row.fingerprint),
                ),
                **marks[row.model_id],
            },
        )
        for some in chunks(list(ids))
        for row in connection.execute(select(*columns).where(model.c.model_id.in_(some)))
    ]


def _of_content(said: Row | None, fingerprint: str | None) -> Row | None:
    """The verification, unless it is of other content than the present one: then it no longer
    counts."""
    return said if said and said.get("fingerprint") == fingerprint else None


def _kept(**details: object) -> Row:
    """Without the keys that have nothing to say."""
    return {key: value for key, value in details.items() if value}


def _since(connection: Connection, ids: Collection[int]) -> Mapping[int, str]:
    """When something happened last to each."""
    last = select(history.c.model_id, func.max(HAPPENED_AT)).group_by(history.c.model_id)
    return {
        row[0]: row[1]
        for some in chunks(list(ids))
        for row in connection.execute(last.where(history.c.model_id.in_(some)))
    }


def _marks(connection: Connection, ids: Collection[int]) -> defaultdict[int, dict[str, list[Any]]]:
    """model_id -> ``tags`` and ``aliases``, as far as it has any."""
    found: defaultdict[int, dict[str, list[Any]]] = defaultdict(dict)
    for some in chunks(list(ids)):
        for one in connection.execute(select(tag).where(tag.c.model_id.in_(some))):
            said = {"key": one.key, "value": one.value, "source": one.source}
            found[one.model_id].setdefault("tags", []).append(said)
        for one in connection.execute(select(alias).where(alias.c.model_id.in_(some))):
            found[one.model_id].setdefault("aliases", []).append(one.alias)
    return found

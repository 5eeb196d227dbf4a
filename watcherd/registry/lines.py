"""The history's lines: what happened to models, and what was said of them (docs/registry.md).

A model's path, state and marks follow from its lines alone; ``details`` hold what that needs.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from watcherd.plan import TO_TRASH, Applied, Change, Verb
from watcherd.registry.clock import iso
from watcherd.registry.intents import By
from watcherd.registry.records import chunks
from watcherd.registry.tables import history, trash

Row = dict[str, Any]


def line(
    model_id: int | None,
    path: str,
    verb: Verb,
    by: By,
    now: int,
    *,
    from_path: str | None = None,
    details: Mapping[str, object] | None = None,
) -> Row:
    """One line; ``model_id`` is None where it is of no one model, ``now`` in ns since the epoch."""
    return {
        "at": iso(now),
        "model_id": model_id,
        "path": path,
        "verb": verb,
        "cause": by.cause,
        "actor": by.actor,
        "from_path": from_path,
        "details": json.dumps(details, sort_keys=True) if details else None,
    }


def store(
    connection: Connection,
    applied: Iterable[Applied],
    said: Mapping[int, list[Row]],
    pinned: Collection[int],
    by: By,
    now: int,
) -> None:
    """Write the lines of what was applied, each followed by what its note ``said`` anew.

    ``pinned``: the models that are pinned by it, which is told, too.
    """
    applied = list(applied)
    meant = find_meant(connection, applied)
    rows: list[Row] = []
    for one in applied:
        if one.change.verb is not Verb.REFRESHED:
            rows += _lines(one, by, now, meant.get(one.model_id, {}), one.model_id in pinned)
        rows += said.get(one.model_id, ())
    if rows:
        connection.execute(insert(history), rows)


def find_meant(connection: Connection, applied: Iterable[Applied]) -> dict[int, Row]:
    """Of what went to the trash or came back: who meant it, and why."""
    ids = [one.model_id for one in applied if one.change.verb in {*TO_TRASH, Verb.RESTORED}]
    asked = select(trash.c.model_id, trash.c.actor, trash.c.cause, trash.c.reasons)
    return {
        row["model_id"]: dict(row)
        for some in chunks(ids)
        for row in connection.execute(asked.where(trash.c.model_id.in_(some))).mappings()
    }


def _lines(one: Applied, by: By, now: int, meant: Row, is_pinned: bool) -> Iterator[Row]:
    """The lines of one change."""
    change = one.change
    details = _details(one)
    if change.verb in TO_TRASH and meant:
        details["reasons"] = json.loads(meant["reasons"])
    who = By(meant.get("actor") or by.actor, meant.get("cause") or by.cause)
    verbs = [change.verb, *([Verb.PINNED] if is_pinned else [])]
    for verb in verbs:
        yield line(
            one.model_id,
            change.path,
            verb,
            who,
            now,
            from_path=change.from_path,
            details=details,
        )


def _details(one: Applied) -> Row:
    """What replaying the history needs beyond path and verb, why, and what was lost by it."""
    change: Change = one.change
    details: Row = {}
    if change.artifact is not None:
        details["state"] = change.state
        details["fingerprint"] = change.reading and change.reading.fingerprint
    if change.reason:
        details["reason"] = change.reason
    if one.lost:
        details["lost"] = dict(one.lost)
    return details

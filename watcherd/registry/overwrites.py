"""What was lost where other content came under a model's path."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from watcherd.naming import is_better
from watcherd.plan import TO_TRASH, Applied, Change, State
from watcherd.registry.notes import PERSON, was_written
from watcherd.registry.scores import Content, content_of, newest
from watcherd.registry.tables import alias, model, tag

Lost = dict[str, object]
"""``results``, ``aliases``, ``pinned``, ``tags``, as far as there are any."""


class _Overwrite(NamedTuple):
    old: Content
    new: Content | None
    """None where what is there now is not complete."""
    is_told_anew: bool
    """Its note was written with it: its tags are meant for the new content."""


def find(connection: Connection, applied: Iterable[Applied]) -> dict[int, Lost]:
    """model_id -> what an overwrite cost it: results better than the new content's, and marks.

    To be asked once the results of the new content are added.
    """
    overwrites = list(_overwrites(list(applied)))
    if not overwrites:
        return {}
    ids = [content[0] for one in overwrites for content in (one.old, one.new) if content]
    results = newest(connection, ids)
    lost: dict[int, Lost] = {}
    for one in overwrites:
        new = results.get(one.new, {}) if one.new else {}
        better = _lost_results(results.get(one.old, {}), new)
        found: Lost = {"results": better, **_marks(connection, one)}
        lost[one.old[0]] = {key: value for key, value in found.items() if value}
    return lost


def _overwrites(applied: list[Applied]) -> Iterator[_Overwrite]:
    """Other content in the same row; or a path that another model's file was moved upon."""
    arrived = {one.change.path: one for one in applied if one.change.artifact is not None}
    for one in applied:
        change = one.change
        if not _was_whole(change) or change.record is None:
            continue
        now = one if change.artifact is not None else arrived.get(change.path)
        if now is not None and _is_other(change, now.change):
            mark = content_of(now.change)
            old = (one.model_id, change.record.fingerprint or "")
            new = (now.model_id, mark) if mark else None
            yield _Overwrite(old, new, was_written(change))


def _was_whole(change: Change) -> bool:
    """Content that was lost before, or never complete, is not lost by this change."""
    record = change.record
    is_here = change.from_path is None and change.verb not in TO_TRASH
    return (
        is_here
        and record is not None
        and record.state is State.PRESENT
        and record.fingerprint is not None
    )


def _is_other(change: Change, now: Change) -> bool:
    known = change.record and change.record.fingerprint
    return now.reading is not None and now.reading.fingerprint != known


def _lost_results(old: Mapping[str, float], new: Mapping[str, float]) -> dict[str, float]:
    """Those that the new content has not, or has worse."""
    return {
        metric: value
        for metric, value in old.items()
        if metric not in new or is_better(metric, value, new[metric])
    }


def _marks(connection: Connection, one: _Overwrite) -> Lost:
    model_id, _ = one.old
    tags = connection.execute(select(tag.c.key, tag.c.source).where(tag.c.model_id == model_id))
    aliases = select(alias.c.alias).where(alias.c.model_id == model_id).order_by(alias.c.alias)
    pinned = select(model.c.pinned).where(model.c.model_id == model_id)
    return {
        "aliases": list(connection.execute(aliases).scalars()),
        "pinned": bool(connection.execute(pinned).scalar()),
        "tags": sorted(row.key for row in tags if row.source == PERSON or not one.is_told_anew),
    }

"""The result table: measured values, each of one content of one model; rows are only added.

What counts of a content is the newest value of each metric. A value of another content than the
model's present one counts nowhere, and stays.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum

from sqlalchemy import Connection, insert, select

from watcherd.naming import Naming
from watcherd.plan import Applied, Change, State
from watcherd.registry.clock import iso
from watcherd.registry.records import chunks
from watcherd.registry.tables import result

Content = tuple[int, str]
"""model_id and fingerprint."""
Values = dict[str, float]
"""Metric -> value, finite."""


class Source(StrEnum):
    """Where a result comes from."""

    NAME = "name"
    """The model's own name."""
    RECORD = "record"
    """A person's or a job's ``watcherd record``."""
    NOTE = "note"
    """The file beside the model."""


def newest(
    connection: Connection, ids: Iterable[int], source: Source | None = None
) -> dict[Content, Values]:
    """The newest values of every content of some models; with ``source`` only those from there."""
    found: defaultdict[Content, Values] = defaultdict(dict)
    columns = (result.c.model_id, result.c.fingerprint, result.c.metric, result.c.value)
    asked = select(*columns).order_by(result.c.result_id)
    if source is not None:
        asked = asked.where(result.c.source == source)
    for some in chunks(sorted(set(ids))):
        for model_id, mark, metric, value in connection.execute(
            asked.where(result.c.model_id.in_(some))
        ):
            found[model_id, mark][metric] = value
    return found


def add(
    connection: Connection,
    values: Mapping[Content, Mapping[str, float]],
    source: Source,
    now: int,
    context: str | None = None,
) -> None:
    """Add values; ``now`` in ns since the epoch, ``context`` JSON."""
    rows = [
        {
            "model_id": model_id,
            "fingerprint": mark,
            "metric": metric,
            "value": value,
            "context": context,
            "source": source,
            "recorded_at": iso(now),
        }
        for (model_id, mark), told in values.items()
        for metric, value in told.items()
    ]
    if rows:
        connection.execute(insert(result), rows)


def add_changed(
    connection: Connection, values: Mapping[Content, Values], source: Source, now: int
) -> dict[Content, Values]:
    """Add those that are not the newest from that source already; returns them."""
    known = newest(connection, [model_id for model_id, _ in values], source)
    changed = {
        content: {
            metric: value
            for metric, value in told.items()
            if known.get(content, {}).get(metric) != value
        }
        for content, told in values.items()
    }
    add(connection, changed, source, now)
    return changed


def add_named(connection: Connection, applied: Iterable[Applied], naming: Naming, now: int) -> None:
    """Add the metrics in the models' names, once for each content."""
    fresh: dict[Content, Values] = {}
    known: dict[Content, Values] = {}
    for one in applied:
        mark = content_of(one.change)
        if mark is not None and (metrics := _metrics(one.change, naming)):
            of = fresh if one.change.record is None else known
            of[one.model_id, mark] = dict(metrics)
    add(connection, fresh, Source.NAME, now)  # nothing can be known of a row made this moment
    add_changed(connection, known, Source.NAME, now)


def content_of(change: Change) -> str | None:
    """The fingerprint that results count for after a change; None where it is not present."""
    if change.artifact is None or change.state is not State.PRESENT:
        return None
    if change.reading is not None:
        return change.reading.fingerprint
    return change.record.fingerprint if change.record else None


def _metrics(change: Change, naming: Naming) -> Mapping[str, float]:
    assert change.artifact is not None  # content_of told
    return naming.read_name(change.artifact.path, change.artifact.form).metrics

"""Results that people and jobs record: a back-test, an evaluation of a model's present content."""

import json
from collections.abc import Mapping
from math import isfinite

from sqlalchemy import Connection, select

from watcherd.errors import Refused, UsageError
from watcherd.plan import Verb
from watcherd.registry.intents import By
from watcherd.registry.marks import marking
from watcherd.registry.scores import Content, Source, add
from watcherd.registry.store import Registry
from watcherd.registry.tables import result


def record(
    registry: Registry,
    model_id: int,
    values: Mapping[str, float],
    context: Mapping[str, object] | None,
    by: By,
    now: int,
) -> dict[str, float]:
    """Add results of the present content, with their context (a window, a horizon).

    Returns those that are not the newest already, so that a script may safely say it twice. Raises
    UsageError for a value that is not finite, Refused where it is not known what content they are
    of.
    """
    _refuse_odd(values)
    said = json.dumps(context, sort_keys=True, ensure_ascii=False) if context else None
    with marking(registry, model_id, by, now) as one:
        if one.row.fingerprint is None:
            raise Refused(
                f"{one.row.path} is {one.row.state}, and what it holds is not known: a result "
                "would belong to no content",
                hint="watcherd show says what is missing; record again when the model is complete",
            )
        content = (model_id, one.row.fingerprint)
        known = _newest(one.connection, content)
        new = {
            metric: value
            for metric, value in values.items()
            if known.get(metric) != (value, said, Source.RECORD)
        }
        if new:
            add(one.connection, {content: new}, Source.RECORD, now, said)
            details: dict[str, object] = {"results": new, "fingerprint": one.row.fingerprint}
            details |= {"source": Source.RECORD} | ({"context": context} if context else {})
            one.change(Verb.RECORDED, details)
        return new


def _refuse_odd(values: Mapping[str, float]) -> None:
    for metric, value in values.items():
        if not isfinite(value):
            raise UsageError(
                f"{metric} is {value}: only finite numbers can be compared",
                hint="leave it out; a tag such as diverged tells of a run without a result",
            )


def _newest(connection: Connection, content: Content) -> dict[str, tuple[float, str | None, str]]:
    """Metric -> value, context and source of its newest row."""
    model_id, mark = content
    rows = connection.execute(
        select(result)
        .where(result.c.model_id == model_id, result.c.fingerprint == mark)
        .order_by(result.c.result_id)
    )
    return {row.metric: (row.value, row.context, row.source) for row in rows}

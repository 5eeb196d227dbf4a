"""What the rules said of each model when they were last applied, so that it can be told later.

Of the models that a rule matches. A run in which nothing differs writes nothing. What was said of a
model that went stays: it says why it went.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice

from sqlalchemy import delete, insert, select

from watcherd.plan import ON_DISK, Verdict
from watcherd.registry.clock import iso
from watcherd.registry.records import chunks
from watcherd.registry.store import Registry
from watcherd.registry.tables import model, verdict

ROWS = 5_000
"""Rows fetched, and written in one transaction, at a time."""

Said = dict[int, tuple[int, str]]
"""model_id -> keep, and the reasons as JSON."""


def keep_verdicts(registry: Registry, root_id: int, verdicts: Iterable[Verdict], now: int) -> None:
    """Write what differs from what was said last; ``now`` in ns since the epoch."""
    said = {
        one.candidate.model_id: _written(one.keep, one.reasons)
        for one in verdicts
        if one.rule is not None
    }
    _delete(registry, _take_out_known(registry, root_id, said))
    fresh = iter(said.items())
    while some := list(islice(fresh, ROWS)):
        with registry.writing() as connection:
            connection.execute(insert(verdict), [_row(*one, iso(now)) for one in some])


@lru_cache(maxsize=ROWS)
def _written(keep: bool, reasons: tuple[str, ...]) -> tuple[int, str]:
    """One value for all models that are told the same: a million have a million reasons."""
    return int(keep), json.dumps(reasons, ensure_ascii=False)


def _take_out_known(registry: Registry, root_id: int, said: Said) -> list[int]:
    """Take out of ``said`` what is known already; returns what was said and holds no more."""
    stale = []
    known = (
        select(verdict.c.model_id, verdict.c.keep, verdict.c.reasons, model.c.state)
        .join(model)
        .where(model.c.root_id == root_id)
    )
    with registry.reading() as connection:
        for row in connection.execute(known, execution_options={"yield_per": ROWS}):
            now = said.get(row.model_id)
            if now == (row.keep, row.reasons):
                del said[row.model_id]
            elif now is not None or row.state in ON_DISK:
                stale.append(row.model_id)
    return stale


def _delete(registry: Registry, ids: Sequence[int]) -> None:
    if not ids:
        return
    with registry.writing() as connection:
        for some in chunks(ids):
            connection.execute(delete(verdict).where(verdict.c.model_id.in_(some)))


def _row(model_id: int, said: tuple[int, str], at: str) -> dict[str, object]:
    keep, reasons = said
    return {"model_id": model_id, "decided_at": at, "keep": keep, "reasons": reasons}

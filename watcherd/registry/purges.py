"""Writing that models left the trash for good. Their rows, marks and history stay."""

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, update

from watcherd.plan import Purged, State, Verb
from watcherd.registry import lines
from watcherd.registry.intents import By, forget
from watcherd.registry.store import Registry
from watcherd.registry.tables import history, model


def note_purged(registry: Registry, purged: Sequence[Purged], by: By, now: int) -> None:
    """One transaction for all; ``now`` in ns since the epoch."""
    if not purged:
        return
    with registry.writing() as connection:
        connection.execute(
            update(model)
            .where(model.c.model_id == bindparam("id_"))
            .values(state=State.DELETED, revision=model.c.revision + 1),
            [{"id_": one.model_id} for one in purged],
        )
        forget(connection, [one.model_id for one in purged])
        connection.execute(insert(history), [_line(one, by, now) for one in purged])


def _line(one: Purged, by: By, now: int) -> lines.Row:
    details = {"reasons": [one.reason], "bytes_freed": one.bytes_freed}
    return lines.line(one.model_id, one.path, Verb.PURGED, by, now, details=details)

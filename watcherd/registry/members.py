"""What lies in ensembles, and the copies of models: questions about them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, ColumnElement, Select, case, literal_column, select

from watcherd.registry.records import IS_ON_DISK, chunks
from watcherd.registry.tables import model, trash
from watcherd.registry.terms import fits

if TYPE_CHECKING:
    from watcherd.registry.store import Registry

IS_MEMBER: ColumnElement[Any] = literal_column(
    "model.type IS NULL AND model.ensemble_type IS NOT NULL"
)
"""In letters, for the partial index (see IS_ON_DISK). A model that has copies bears their ensemble
types beside its own type."""


def copies_of(registry: "Registry", ids: Sequence[int]) -> dict[int, list[int]]:
    """model_id -> its copies on disk, by path."""
    return _group(registry, model.c.copy_of, select(model.c.model_id).where(IS_ON_DISK), ids)


def trashed_with(registry: "Registry", ids: Sequence[int]) -> dict[int, list[int]]:
    """model_id -> the copies in the trash that went there with it, by path."""
    return _group(registry, trash.c.with_id, select(model.c.model_id).join(trash), ids)


def _group(
    registry: "Registry", key: Column[Any], asked: Select[tuple[int]], ids: Sequence[int]
) -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    with registry.reading() as connection:
        for some in chunks(ids):
            chosen = asked.add_columns(key).where(key.in_(some)).order_by(model.c.path)
            for copy, of in connection.execute(chosen):
                found[of].append(copy)
    return dict(found)


def list_members(
    registry: "Registry",
    *,
    interval: str | None = None,
    ticker: str | None = None,
    kind: str | None = None,
) -> list[dict[str, Any]]:
    """What lies in ensembles, by place: the copies, and what is a copy of nothing (``model_id``
    and ``same_content`` are None). Globs as in ``Filter``."""
    source = model.alias("source")
    same = model.c.fingerprint.is_not_distinct_from(source.c.fingerprint)
    asked = (
        select(
            model.c.interval, model.c.ticker, model.c.ensemble_type,
            source.c.model_id, source.c.path, source.c.state,
            model.c.model_id.label("copy_id"), model.c.path.label("copy_path"),
            case((source.c.model_id.is_(None), None), else_=same).label("same_content"),
            model.c.size_bytes,
        )
        .outerjoin(source, source.c.model_id == model.c.copy_of)
        .where(IS_MEMBER, IS_ON_DISK)
        .order_by(
            model.c.interval_seconds, model.c.interval, model.c.ticker,
            model.c.ensemble_type, model.c.path,
        )
    )  # fmt: skip
    wanted = {model.c.interval: interval, model.c.ticker: ticker, model.c.ensemble_type: kind}
    for column, pattern in wanted.items():
        if pattern is not None:
            asked = asked.where(fits(column, pattern))
    with registry.reading() as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]

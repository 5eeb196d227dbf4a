"""Which models: what ``list`` and the Python door filter by, as conditions of a statement."""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, or_, select

from watcherd.errors import UsageError
from watcherd.plan import State
from watcherd.registry.question import Filter
from watcherd.registry.tables import architecture, model, optimizer, tag
from watcherd.registry.terms import condition, fits

_ID = re.compile(r"[0-9]{1,18}")
_HASH = re.compile(r"[0-9a-f]{4,32}")


def chosen_models(
    connection: Connection, chosen: Filter, *columns: ColumnElement[Any]
) -> Select[Any]:
    """These columns of the models that pass, with their optimizers at hand.

    Raises UsageError for an unknown state, or a condition that makes no sense.
    """
    return with_optimizers(*columns).where(*_conditions(connection, chosen))


def with_optimizers(*columns: ColumnElement[Any]) -> Select[Any]:
    """These columns of models, where those of their optimizers may be among them."""
    known = model.outerjoin(optimizer, optimizer.c.optimizer_id == model.c.optimizer_id)
    return select(*columns).select_from(known)


def _conditions(connection: Connection, chosen: Filter) -> list[ColumnElement[bool]]:
    return [
        *_of_state(chosen),
        *_of_globs(chosen),
        *([_of_architecture(chosen.architecture)] if chosen.architecture is not None else []),
        *map(_has_tag, chosen.tags),
        *(condition(connection, text)[1] for text in chosen.where),
    ]


def _of_state(chosen: Filter) -> Iterator[ColumnElement[bool]]:
    unknown = [one for one in chosen.states if one not in tuple(State)]
    if unknown:
        raise UsageError(
            f"no such state: {', '.join(unknown)}", hint="one of: all, " + ", ".join(State)
        )
    if chosen.states:
        yield model.c.state.in_(chosen.states)
    if chosen.unplaced:
        yield model.c.unplaced.is_not(None)
    yield model.c.copy_of.is_not(None) if chosen.ensemble else model.c.copy_of.is_(None)


def _of_globs(chosen: Filter) -> Iterator[ColumnElement[bool]]:
    for column, pattern in (
        (model.c.interval, chosen.interval),
        (model.c.ticker, chosen.ticker),
        (model.c.ensemble_type if chosen.ensemble else model.c.type, chosen.type),
        (model.c.format, chosen.format),
        (model.c.family, chosen.family),
        (model.c.optimizer_type, chosen.optimizer),
    ):
        if pattern is not None:
            yield fits(column, pattern)


def _of_architecture(named: str) -> ColumnElement[bool]:
    if _ID.fullmatch(named):
        return model.c.architecture_id == int(named)
    is_class = fits(model.c.class_name, named)
    if not _HASH.fullmatch(named):
        return is_class
    begins = or_(
        architecture.c.config_hash.startswith(named), architecture.c.likeness.startswith(named)
    )
    return or_(
        is_class,
        model.c.architecture_id.in_(select(architecture.c.architecture_id).where(begins)),
    )


def _has_tag(named: str) -> ColumnElement[bool]:
    key, equals, value = named.partition("=")
    found = exists().where(tag.c.model_id == model.c.model_id, tag.c.key == key)
    return found.where(tag.c.value == value) if equals else found

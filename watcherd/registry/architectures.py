"""Architectures: the configs that whole models bring, and which of them some weights fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from watcherd.plan import Format
from watcherd.registry.tables import architecture, model


@dataclass(frozen=True, slots=True)
class Fit:
    """An architecture that weights may be of. Trainings of one architecture count as one."""

    architecture_id: int
    """The oldest, where configs differ only in names that Keras gave."""
    class_name: str | None
    models: int
    """How many known models are of it, whatever became of their files."""
    agrees: tuple[str, ...]
    """What is as in those models; shapes of single variables are not known to the registry."""


def config_of(connection: Connection, architecture_id: int | None) -> str | None:
    """An architecture's config: JSON that Keras can load."""
    column = architecture.c.config
    asked = select(column).where(architecture.c.architecture_id == architecture_id)
    return connection.execute(asked).scalar()


def fitting(connection: Connection, row: Mapping[str, Any]) -> list[Fit]:
    """The architectures that a model without one may be of, those of most models first.

    Those with as many parameters; weights in HDF5 must have as many variables, too. A checkpoint
    counts its optimizer's among its variables, so that they tell nothing.
    """
    agrees = ("parameters", "variables") if row["format"] == Format.WEIGHTS_H5 else ("parameters",)
    if row["architecture_id"] is not None or any(row[name] is None for name in agrees):
        return []
    models = func.count().label("models")
    same = func.coalesce(architecture.c.likeness, architecture.c.config_hash)
    found = connection.execute(
        select(func.min(architecture.c.architecture_id), func.min(model.c.class_name), models)
        .join(model, model.c.architecture_id == architecture.c.architecture_id)
        .where(*(model.c[name] == row[name] for name in agrees))
        .group_by(same)
        .order_by(models.desc(), func.min(architecture.c.architecture_id))
    )
    return [Fit(oldest, name, count, agrees) for oldest, name, count in found]

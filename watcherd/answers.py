"""What the Python door answers with: rows of the registry as frozen, typed values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

Shape = tuple[int | None, ...]
Shapes = Shape | tuple[Shape, ...]
"""Of one input or output; of several all of theirs."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the registry knows it; the names are those of its columns (docs/registry.md)."""

    model_id: int
    path: str
    """Below the models root."""
    absolute_path: Path
    model_name: str
    interval: str | None
    interval_seconds: int | None
    ticker: str | None
    type: str | None
    format: str
    family: str
    step: int | None
    state: str
    reason: str | None
    size_bytes: int
    files: int
    fingerprint: str | None
    modified_at: datetime
    first_seen_at: datetime
    placed_at: datetime
    changed_at: datetime
    keras_version: str | None
    backend: str | None
    class_name: str | None
    depth: int | None
    input_shape: Shapes | None
    output_shape: Shapes | None
    parameters: int | None
    variables: int | None
    dtype: str | None
    loss: str | None
    metrics: tuple[str, ...] | None
    custom_objects: tuple[str, ...] | None
    optimizer_type: str | None
    learning_rate: float | None
    architecture_id: int | None
    copy_of: int | None
    ensemble: bool
    ensemble_type: str | None
    resume: bool
    verified: bool | None
    pinned: bool
    note: str | None
    optimizer_config: Mapping[str, Any] | None = field(hash=False)
    results: Mapping[str, float] = field(hash=False)
    """Metric -> its newest value for the present content."""
    tags: Mapping[str, str | None] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the history (docs/registry.md, "history")."""

    history_id: int
    at: datetime
    model_id: int | None
    path: str
    verb: str
    cause: str
    actor: str
    from_path: str | None
    details: Mapping[str, Any] | None = field(hash=False)


_JSON = ("input_shape", "output_shape", "metrics", "custom_objects", "optimizer_config")
_TIMES = ("modified_at", "first_seen_at", "placed_at", "changed_at")
_FLAGS = ("ensemble", "resume", "verified", "pinned")


def model_of(row: Mapping[str, Any]) -> Model:
    """The value of a row as ``queries.list_models`` gives it."""
    told = {one.name: row[one.name] for one in fields(Model)}
    known = {name for name, value in told.items() if value is not None}
    told |= {name: _frozen(json.loads(told[name])) for name in known.intersection(_JSON)}
    told |= {name: datetime.fromisoformat(told[name]) for name in _TIMES}
    told |= {name: bool(told[name]) for name in known.intersection(_FLAGS)}
    return Model(**told | {"absolute_path": Path(told["absolute_path"])})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def change_of(row: Mapping[str, Any]) -> Change:
    """The value of a line of the history."""
    return Change(**{**row, "at": datetime.fromisoformat(row["at"])})

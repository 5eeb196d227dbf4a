"""Several models that a person names, and what became of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcherd.cli.places import model_at
from watcherd.errors import WatcherdError, in_a_line
from watcherd.plan import State
from watcherd.registry import Registry


@dataclass
class Several:
    """The models that were named."""

    names: Sequence[str]
    known: dict[str, int] = field(default_factory=dict)
    """Name -> model_id."""
    unknown: dict[str, WatcherdError] = field(default_factory=dict)
    """Name -> why it names no model."""

    @property
    def ids(self) -> list[int]:
        """Each model once, in the order in which they were named."""
        return list(dict.fromkeys(self.known.values()))


def resolve(
    registry: Registry, root: Path, names: Sequence[str], *, state: State | None = None
) -> Several:
    """Which models are meant; of several at a path one in that ``state`` (``model_at``).

    A name that fits none is listed as unknown; if it is the only one, NoSuchModel is raised.
    """
    several = Several(names)
    for name in names:
        try:
            several.known[name] = model_at(registry, root, name, state=state)
        except WatcherdError as error:
            if len(names) == 1:
                raise
            several.unknown[name] = error
    return several


def outcomes(
    several: Several, done: str, failed: Mapping[int, WatcherdError]
) -> list[dict[str, Any]]:
    """A row for each name; ``done`` is what the key is called that says whether it is so.

    Where the only one that was named failed, that is raised instead.
    """
    if len(several.names) == 1:
        for error in failed.values():
            raise error
    said: list[dict[str, Any]] = []
    for name in several.names:
        model_id = several.known.get(name)
        why = several.unknown.get(name) if model_id is None else failed.get(model_id)
        row = {"model": name, "model_id": model_id, done: why is None}
        said.append({**row, "error": why and in_a_line(why)})
    return said


def with_copies(
    said: Sequence[Mapping[str, Any]], copies: Mapping[int, Sequence[str]]
) -> list[dict[str, Any]]:
    """The same rows, each with the paths of the copies that moved with it."""
    return [{**one, "copies": list(copies.get(one["model_id"], ()))} for one in said]

"""The registry: SQLite (or what SQLAlchemy speaks), one row a model, append-only history."""

from typing import TYPE_CHECKING

from watcherd.registry.clock import iso, ns_of
from watcherd.registry.engine import Mode, path_of
from watcherd.registry.intents import By, Direction, Intent
from watcherd.registry.queries import Row
from watcherd.registry.question import Best, Filter, Question
from watcherd.registry.records import Kin
from watcherd.registry.store import Registry, Root

if TYPE_CHECKING:
    from watcherd.registry.changes import Writer

__all__ = [
    "Best",
    "By",
    "Direction",
    "Filter",
    "Intent",
    "Kin",
    "Mode",
    "Question",
    "Registry",
    "Root",
    "Row",
    "Writer",
    "iso",
    "ns_of",
    "path_of",
]


def __getattr__(name: str) -> object:
    """What writes, imported when it is asked for: a question is as fast as what it imports."""
    if name == "Writer":
        from watcherd.registry.changes import Writer

        return Writer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

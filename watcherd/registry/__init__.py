"""The registry: SQLite (or what SQLAlchemy speaks), one row a model, append-only history."""

from watcherd.registry.changes import Writer
from watcherd.registry.clock import iso, ns_of
from watcherd.registry.engine import Mode, path_of
from watcherd.registry.intents import By, Direction, Intent
from watcherd.registry.queries import Row
from watcherd.registry.question import Best, Filter, Question
from watcherd.registry.records import Kin
from watcherd.registry.store import Registry, Root

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

"""The value that everyone else is given: what is in force, and where each value comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from watcherd.config.sections import (
    Log,
    Models,
    Registry,
    Retention,
    Schedule,
    Verify,
    Watch,
)
from watcherd.naming import Naming


class Origin(StrEnum):
    """Where a value comes from."""

    FILE = "file"
    COMMAND_LINE = "command line"
    DEFAULT = "default"


class Written(NamedTuple):
    """A value in force, as a person wrote it or would write it."""

    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force: valid, complete, frozen. Times are seconds."""

    models: Models
    registry: Registry
    watch: Watch
    schedule: Schedule
    retention: Retention
    verify: Verify
    log: Log
    source: str
    """The settings file's path, or ``defaults``."""
    written: Mapping[str, Written]
    """``watch.settle`` and every other key (all rules together are one) → how it was written."""


def naming_of(settings: Settings) -> Naming:
    """The rules for names; ``load`` has already refused what cannot be compiled."""
    models = settings.models
    return Naming(
        layouts=models.layout,
        types=models.types,
        ensembles=models.ensembles,
        names=models.names,
        ignore=models.ignore,
        state_files=models.state_files,
    )

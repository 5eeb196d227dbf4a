"""What every section of the settings is."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def written(default: object) -> Any:
    """A default as a person would write it; it is read and checked like any other value."""
    return Field(default)


class Section(BaseModel):
    """A table of the settings file: typed, complete and frozen."""

    # Built when the whole document is, once: else each section within it is built again for itself.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, defer_build=True
    )

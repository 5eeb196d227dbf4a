"""The names of all settings."""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from watcherd.config.section import Section
from watcherd.config.sections import Document


class Key(NamedTuple):
    """One setting."""

    name: str
    """Dotted, without numbers: ``retention.rule.max_to_keep``."""
    default: object
    """As a person would write it; None where it has none."""
    description: str | None


def keys(section: type[Section] = Document, prefix: str = "") -> Iterator[Key]:
    """Every key that a settings file may hold, in the order of the sections."""
    for name, field in section.model_fields.items():
        inner = next(_sections(field.annotation), None)
        if inner is None or field.annotation is not inner:
            yield Key(
                prefix + name,
                None if field.is_required() else field.get_default(),
                field.description,
            )
        if inner is not None:
            yield from keys(inner, f"{prefix}{name}.")


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The section classes within a type such as ``tuple[Rule, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)

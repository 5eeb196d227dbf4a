"""A file-name template as people give it to Keras, such as ``w.{epoch:02d}-{val_loss:.2f}.h5``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from string import Formatter
from typing import NamedTuple

from watcherd.naming.braces import Braces
from watcherd.naming.marks import METRICS, Marks, Span

_STEPS = ("global_step", "step", "iteration", "iter", "epoch", "ep", "batch")
"""Fields that count, finest first; ``batch`` comes last because it starts anew in each epoch."""

_METRIC = re.compile(rf"val_.+|{METRICS}", re.IGNORECASE)

_WHOLE = re.compile(r"(?P<zero>0?)(?P<width>[0-9]*)d")
_FLOAT = re.compile(r"[-+ ]?[0-9]*(?:\.(?P<precision>[0-9]+))?(?P<type>[fFeEgG])")
_ANY_FLOAT = r" *[-+]?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|nan|inf|NAN|INF)"

_DIGITS = 18
"""As many as surely fit SQLite's 64-bit INTEGER."""


class _Kind(StrEnum):
    STEP = "step"
    METRIC = "metric"
    TEXT = "text"
    """Part of the family, not a mark."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: _Kind
    spec: str
    pattern: str | None
    """What it writes, as a regular expression; None leaves the spec to ``parse``."""


class _Mark(NamedTuple):
    field: _Field
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Template:
    """One template, read backwards: name → step and metrics."""

    text: str
    _fields: tuple[_Field, ...]
    _braces: Braces

    @classmethod
    def compile(cls, text: str) -> "Template":
        """Read a template; only what follows its last slash counts.

        Raises ValueError, in words for a person, where it has no field or is no template.
        """
        pieces = list(Formatter().parse(text.rpartition("/")[2]))
        fields = tuple(_field(name, spec or "") for _, name, spec, _ in pieces if name is not None)
        if not fields:
            raise ValueError("it has no field such as {epoch} after its last slash")
        patterns = {f"f{n}": field.pattern for n, field in enumerate(fields) if field.pattern}
        literals = [(literal, name is not None) for literal, name, _, _ in pieces]
        return cls(text, fields, Braces.compile(_renamed(literals, fields), patterns))

    def marks_in(self, name: str) -> Marks | None:
        """The marks in a name (the last component of a path); None where it does not fit."""
        found = self._braces.match(name)
        if found is None:
            return None
        marks = [
            _Mark(field, found[f"f{n}"], found.span(f"f{n}"))
            for n, field in enumerate(self._fields)
            if field.kind is not _Kind.TEXT
        ]
        return Marks(tuple(mark.span for mark in marks), _step(marks), _metrics(marks))


def _step(marks: Sequence[_Mark]) -> int | None:
    counts = [mark for mark in marks if mark.field.kind is _Kind.STEP]
    if not counts:
        return None
    return int(min(counts, key=lambda mark: _STEPS.index(mark.field.name.lower())).text)


def _metrics(marks: Sequence[_Mark]) -> Mapping[str, float]:
    values = {m.field.name: float(m.text) for m in marks if m.field.kind is _Kind.METRIC}
    return {name: value for name, value in values.items() if name and isfinite(value)}


def _field(name: str, spec: str) -> _Field:
    if "{" in spec:
        raise ValueError(f"{{{name}:{spec}}} has a field inside a field")
    spec = spec.removesuffix("s")
    counts = name.lower() in _STEPS
    # Keras formats an int: {epoch} and {epoch:04} write what {epoch:d} and {epoch:04d} write.
    if whole := _WHOLE.fullmatch(spec if spec.endswith("d") or not counts else spec + "d"):
        return _Field(name, _Kind.STEP if counts else _Kind.TEXT, spec, _whole_pattern(whole))
    if number := _FLOAT.fullmatch(spec):
        return _Field(name, _Kind.METRIC, spec, _float_pattern(number))
    if not spec and _METRIC.fullmatch(name):
        return _Field(name, _Kind.METRIC, spec, _ANY_FLOAT)
    return _Field(name, _Kind.TEXT, spec, None)


def _whole_pattern(spec: re.Match[str]) -> str:
    """A width is a minimum: ``{epoch:04d}`` writes 12345 in five digits."""
    if not spec["zero"]:
        return f" *[0-9]{{1,{_DIGITS}}}"
    width = int(spec["width"] or 1)
    if width > _DIGITS:
        raise ValueError(f"it has a number of more than {_DIGITS} digits")
    return f"[0-9]{{{width},{_DIGITS}}}"


def _float_pattern(spec: re.Match[str]) -> str:
    """``.2f`` always writes two decimals; the other types of numbers have no fixed form."""
    if spec["type"] not in "fF":
        return _ANY_FLOAT
    decimals = int(spec["precision"] or 6)
    point = rf"\.[0-9]{{{decimals}}}" if decimals else ""
    return rf" *[-+]?(?:[0-9]+{point}|nan|inf|NAN|INF)"


def _renamed(literals: Sequence[tuple[str, bool]], fields: Sequence[_Field]) -> str:
    """The template for ``parse``, with fields f0, f1, ... whose numbers are of our own types.

    ``parse`` by itself takes a width for a maximum, reads ``0x10`` as a whole number, and gives one
    place only for a field that stands twice.
    """
    specs = (f"f{n}:f{n}" if f.pattern else f"f{n}:{f.spec}" for n, f in enumerate(fields))
    return "".join(
        literal.replace("{", "{{").replace("}", "}}")
        + (f"{{{next(specs).removesuffix(':')}}}" if has_field else "")
        for literal, has_field in literals
    )

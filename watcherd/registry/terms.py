"""What a question may name: columns of a model, its optimizer's settings, its current results.

A name becomes an expression of SQLAlchemy, and a value a bound parameter: nothing that a person
writes is ever part of a statement's text.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Numeric,
    Text,
    cast,
    exists,
    func,
    literal,
    null,
    select,
)

from watcherd.errors import UsageError, visible
from watcherd.registry.tables import model, optimizer, result
from watcherd.scope import is_text

SETTING, RESULT = "optimizer.", "result."
"""Before the name of an optimizer's setting, and of a metric that is named like a column."""

_FEW = 8
"""Metrics that an error names."""

_KEY = re.compile(r"\w+")
_WHERE = re.compile(
    r"(?P<name>.+?)\s*(?:(?P<null>(?<=\s)is(?P<not>\s+not)?\s+null)"
    r"|(?P<op>!=|<=|>=|=|<|>|~)\s*(?P<value>.*))",
    re.DOTALL | re.IGNORECASE,
)
_OPERATORS = {
    "=": lambda column, value: column == value,
    # What is unknown differs, too: a model without an optimizer is none of Adam's.
    "!=": lambda column, value: column.is_distinct_from(value),
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}
_INTEGERS_END = 2**63


class Kind(Enum):
    """What a term's values are compared as."""

    NUMBER = "number"
    TEXT = "text"
    JSON = "JSON"
    """A number, text, or true and false."""


@dataclass(frozen=True, slots=True)
class Term:
    """Something a model is asked about."""

    name: str
    column: ColumnElement[object]
    kind: Kind
    metric: str | None = None
    """The metric, where it is a result."""


def term(connection: Connection, name: str) -> Term:
    """What a name stands for. Raises UsageError with the possible ones.

    A column of ``model`` or ``learning_rate``; ``optimizer.KEY``; a metric that was ever recorded;
    ``result.METRIC`` for any metric.
    """
    _refuse_what_is_no_text(name)
    if name in model.c:
        column = model.c[name]
        is_number = isinstance(column.type, Integer | Numeric)
        return Term(name, column, Kind.NUMBER if is_number else Kind.TEXT)
    if name == "learning_rate":
        return Term(name, optimizer.c.learning_rate, Kind.NUMBER)
    if name.startswith(SETTING) and _KEY.fullmatch(name.removeprefix(SETTING)):
        way = f'$."{name.removeprefix(SETTING)}"'
        return Term(name, func.json_extract(optimizer.c.config, way), Kind.JSON)
    metric = name.removeprefix(RESULT)
    if metric != name or is_recorded(connection, metric):
        return Term(name, current_result(metric), Kind.NUMBER, metric)
    raise UsageError(
        f"there is nothing called {name!r}: no column of a model, and no metric that was recorded",
        hint=_likely(name, possible(connection), recorded(connection)),
    )


def _likely(name: str, known: Sequence[str], metrics: Sequence[str]) -> str:
    """What may have been meant; all there is would fill a terminal."""
    told = few(metrics)
    return (
        f"{meant(name, known)}there are columns (model_id, path, ...: watcherd --json list), "
        f"{SETTING}KEY, {RESULT}METRIC{', and ' if told else ''}{told}"
    )


def meant(name: str, known: Sequence[str]) -> str:
    """A question about those of the known names that are almost this one; empty without any."""
    from difflib import get_close_matches  # here, as few questions name what is not there

    close = get_close_matches(name, known)
    return f"did you mean {' or '.join(map(visible, close))}? " if close else ""


def few(metrics: Sequence[str]) -> str:
    """The first of many names, in a line; what they hold cannot break it."""
    told = [visible(one) for one in metrics[:_FEW]]
    return ", ".join([*told, *(["..."] if len(metrics) > _FEW else [])])


def possible(connection: Connection) -> list[str]:
    """Every name that ``term`` knows; of settings and unrecorded metrics the form."""
    forms = (f"{SETTING}KEY", f"{RESULT}METRIC")
    return [*model.c.keys(), "learning_rate", *forms, *recorded(connection)]


def recorded(connection: Connection) -> list[str]:
    """The names of all results that were ever recorded."""
    return sorted(connection.execute(select(result.c.metric).distinct()).scalars())


def is_recorded(connection: Connection, metric: str) -> bool:
    """Whether any model ever had a result of this name."""
    return bool(connection.execute(select(exists().where(result.c.metric == metric))).scalar())


def current_result(metric: str) -> ColumnElement[object]:
    """The newest value of a metric for the model's present content; null where there is none."""
    newest = (
        select(result.c.value)
        .where(
            result.c.metric == metric,
            result.c.model_id == model.c.model_id,
            result.c.fingerprint == model.c.fingerprint,
        )
        .order_by(result.c.result_id.desc())
        .limit(1)
    )
    return newest.correlate(model).scalar_subquery()


def condition(connection: Connection, text: str) -> tuple[Term, ColumnElement[bool]]:
    """``COLUMN OP VALUE``, or ``COLUMN is [not] null``, as an expression. Raises UsageError.

    The operator is the first in the text; VALUE is what follows, as it stands.
    """
    found = _WHERE.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{text!r} is no condition",
            hint="write COLUMN OP VALUE with one of = != < <= > >= ~ (a glob), as in"
            " 'sharpe > 1', or 'COLUMN is null', 'COLUMN is not null'",
        )
    asked = term(connection, found["name"])
    if found["null"]:
        return asked, asked.column.is_not(null()) if found["not"] else asked.column.is_(null())
    if found["op"] == "~":
        return asked, _fitting(asked, found["value"])
    return asked, _OPERATORS[found["op"]](asked.column, literal(_value(asked, found["value"])))


def fits(column: ColumnElement[object], pattern: str) -> ColumnElement[bool]:
    """Whether a glob fits; case counts in intervals alone (1m and 1M differ)."""
    _refuse_what_is_no_text(pattern)
    if column is model.c.interval:
        return column.op("GLOB")(pattern)
    # SQLite's own lower() knows ASCII alone; ours, called back in Python, takes twice the time.
    fold = func.lower if pattern.isascii() else func.casefold
    return fold(column).op("GLOB")(pattern.casefold())


def _fitting(asked: Term, pattern: str) -> ColumnElement[bool]:
    if asked.kind is Kind.NUMBER:
        raise UsageError(
            f"{asked.name} is a number, and ~ is for text", hint="use = != < <= > or >="
        )
    is_json = asked.kind is Kind.JSON
    return fits(cast(asked.column, Text) if is_json else asked.column, pattern)


def _value(asked: Term, text: str) -> int | float | str:
    _refuse_what_is_no_text(text)
    if asked.kind is Kind.TEXT:
        return text
    if asked.kind is Kind.JSON and text in ("true", "false"):
        return int(text == "true")  # as SQLite's json_extract gives them
    if (number := _number(text)) is not None:
        return number
    if asked.kind is Kind.JSON:
        return text
    raise UsageError(f"{asked.name} is a number, {text!r} is none", hint="write it as in 0.5, 1e-3")


def _number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if math.isnan(number):
        return None
    # A float holds 53 bits of an integer; what is larger than SQLite's integers stays one.
    return int(text) if text.isdecimal() and number < _INTEGERS_END else number


def _refuse_what_is_no_text(text: str) -> None:
    if not is_text(text):
        raise UsageError(f"{text!r} is not UTF-8", hint="no name in the registry is like that")

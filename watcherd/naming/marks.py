"""What changes in a name from save to save: the step and the metrics, with their places in it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Span = tuple[int, int]
"""Where a mark begins and ends in a name, in characters."""

METRICS = "loss|acc|accuracy|auc|mae|mse|rmse|mape|f1|r2|precision|recall|sharpe"
"""Names of metrics, as alternatives of a regular expression; beside them, all of ``val_...``."""

_ESCAPES = str.maketrans({"*": r"\*", "\\": r"\\"})


class Marks(NamedTuple):
    """The marks found in one name."""

    spans: tuple[Span, ...] = ()
    """Ordered, without overlap."""
    step: int | None = None
    metrics: Mapping[str, float] = {}
    """Finite values only."""


def starred(name: str, spans: Iterable[Span]) -> str:
    r"""The name with ``*`` in place of each mark.

    ``*`` and ``\`` of the name itself are escaped by a ``\``: two names have the same result only
    where they are equal outside their marks.
    """
    pieces, end = [], 0
    for start, stop in spans:
        pieces += [name[end:start].translate(_ESCAPES), "*"]
        end = stop
    return "".join([*pieces, name[end:].translate(_ESCAPES)])

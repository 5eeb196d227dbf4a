"""What changes in a name from save to save: the step and the metrics, with their places in it."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Span = tuple[int, int]
"""Where a mark begins and ends in a name, in characters."""

METRICS = "loss|acc|accuracy|auc|mae|mse|rmse|mape|f1|r2|precision|recall|sharpe"
"""Names of metrics, as alternatives of a regular expression; beside them, all of ``val_...``."""

_LESS_IS_BETTER = re.compile(
    r"loss|mae|mse|msle|rmse|mape|logloss|.*error|.*crossentropy|.*divergence|perplexity|drawdown"
)
_MORE_IS_BETTER = re.compile(
    r"acc|.*accuracy|auc|f1|r2|precision|recall|iou|score|sharpe|sortino|calmar|return|profit|pnl"
)
"""The last word of a metric, as Keras and back-tests name them: ``val_dense_1_mae``."""

_ESCAPES = str.maketrans({"*": r"\*", "\\": r"\\"})


class Marks(NamedTuple):
    """The marks found in one name."""

    spans: tuple[Span, ...] = ()
    """Ordered, without overlap."""
    step: int | None = None
    metrics: Mapping[str, float] = {}
    """Finite values only."""


def is_better(metric: str, value: float, than: float) -> bool:
    """Whether a value is the better one; never where the metric's name does not tell which is."""
    name = metric.lower()
    word = name.rpartition("_")[2]
    if _LESS_IS_BETTER.fullmatch(word) or _LESS_IS_BETTER.fullmatch(name):
        return value < than
    more = _MORE_IS_BETTER.fullmatch(word) or _MORE_IS_BETTER.fullmatch(name)
    return bool(more) and value > than


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

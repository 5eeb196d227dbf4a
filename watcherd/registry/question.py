"""A question about models, as a plain value: which, the best of them, in which order, how many."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from watcherd.errors import UsageError
from watcherd.plan import State

Mode = Literal["min", "max"]

_MODES: tuple[Mode, ...] = ("min", "max")
_LOSSES = frozenset({"loss", "error", "mae", "mape", "mse", "msle", "rmse", "logloss"})
"""Words in a metric's name that make the least value the best."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which models; globs (``BTC*``) ignore case, except in intervals (1m and 1M differ)."""

    interval: str | None = None
    ticker: str | None = None
    type: str | None = None
    format: str | None = None
    family: str | None = None
    optimizer: str | None = None
    states: tuple[str, ...] = (State.PRESENT,)
    """Empty for all."""
    unplaced: bool = False
    ensemble: bool = False
    """The copies in ensemble folders, and only them; else they are left out."""
    architecture: str | None = None
    """An ``architecture_id``, the first digits of a hash of it, or a glob for the class."""
    tags: tuple[str, ...] = ()
    """``KEY`` or ``KEY=VALUE``: every one of them."""
    where: tuple[str, ...] = ()
    """Conditions as ``terms.condition`` reads them: every one of them."""


@dataclass(frozen=True, slots=True)
class Best:
    """The one model of each group whose newest result of its present content is best."""

    metric: str
    mode: Mode
    per: tuple[str, ...] = ()
    """Columns of ``model``; none for one group of all."""

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise UsageError(
                f"the best {self.metric} is the min or the max, not the {self.mode!r}",
                hint="the mode is 'min' or 'max'",
            )

    @classmethod
    def of(cls, text: str, per: Sequence[str] = ()) -> Self:
        """Of ``sharpe`` or ``sharpe:max``: without a mode, as the metric's name suggests."""
        for mode in _MODES:
            if text.endswith(f":{mode}"):
                return cls(text[: -len(mode) - 1], mode, tuple(per))
        return cls(text, mode_of(text), tuple(per))


def mode_of(metric: str) -> Mode:
    """Which way a metric is better, by the words of its name: of losses and errors the least."""
    return "min" if _LOSSES & set(metric.lower().split("_")) else "max"


@dataclass(frozen=True, slots=True)
class Question:
    """What ``list`` and the Python door ask."""

    chosen: Filter = field(default_factory=Filter)
    best: Best | None = None
    sort: str | None = None
    """A name that ``terms.term`` knows, descending with a leading ``-``. Without it the best come
    first, or models in the order of their paths."""
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise UsageError(f"there are no {self.limit} models", hint="a limit is 0 or more")

"""What a rule says, as plain values. ``keeps`` carries it out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Literal

from watcherd.plan import Candidate


@dataclass(frozen=True, slots=True)
class Best:
    """The best models by a metric."""

    metric: str
    mode: Literal["min", "max"]
    count: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept of the models that it is the first to match; the keeps are OR-ed.

    Each keep has the name of its key in the settings; None or nothing: it is not asked for.
    """

    max_to_keep: int | None = None
    match: Mapping[str, str] = field(default_factory=dict)
    """Field -> glob; case counts in intervals only (1m is a minute, 1M a month)."""
    per: Literal["family", "folder"] = "family"
    """What the keeps count in."""
    keep_checkpoint_every_n_hours: float | None = None
    keep_every_n_steps: int | None = None
    keep_within: float | None = None
    """Seconds."""
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    keep_tags: tuple[str, ...] = ()
    """``key``, or ``key=value``."""
    keep_best: Best | None = None

    def __post_init__(self) -> None:
        keeps = [field.name for field in fields(self) if "keep" in field.name]
        if not any(getattr(self, name) for name in keeps):
            raise ValueError(f"a rule keeps something: one of {', '.join(keeps)}")

    def matches(self, one: Candidate) -> bool:
        return all(_fits(key, getattr(one, key), glob) for key, glob in self.match.items())

    def group_of(self, one: Candidate) -> tuple[object, ...]:
        """What it counts a model in, within the folder of the model."""
        return one.group if self.per == "family" else ()

    def __str__(self) -> str:
        match = ", ".join(f"{key} {glob}" for key, glob in self.match.items())
        return f"which matches {match or 'every model'}"


def metrics_of(rules: Iterable[Rule]) -> frozenset[str]:
    """The metrics whose results a decision by these rules needs."""
    return frozenset(rule.keep_best.metric for rule in rules if rule.keep_best is not None)


def _fits(key: str, value: str | None, glob: str) -> bool:
    if value is None:
        return glob == "*"
    if key == "interval":
        return fnmatchcase(value, glob)
    return fnmatchcase(value.lower(), glob.lower())

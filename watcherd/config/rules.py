"""Retention rules as the settings give them."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from watcherd.config import kinds
from watcherd.config.kinds import expecting, fault
from watcherd.config.section import Section, written

FORMATS = ("h5", "weights_h5", "hdf5", "checkpoint", "checkpoint_v1", "keras", "saved_model")
"""Words that a rule may match as ``format``."""


class Best(Section):
    """The best models by a metric."""

    metric: kinds.Word = Field(description="the name of a metric, such as val_loss")
    mode: Annotated[Literal["min", "max"], expecting('"min" or "max"')] = Field(
        description='"min" where less is better, or "max"'
    )
    count: kinds.Count = 1


def _fitting_format(pattern: str) -> str:
    if not any(fnmatchcase(word, pattern.lower()) for word in FORMATS):
        raise ValueError
    return pattern


class Match(Section):
    """Globs that a model must fit to be a rule's; what is None fits all."""

    interval: kinds.Word | None = None
    ticker: kinds.Word | None = None
    type: kinds.Word | None = None
    format: Annotated[
        Annotated[kinds.Word, AfterValidator(_fitting_format)] | None,
        expecting(f"a glob that fits one of {', '.join(FORMATS)}"),
    ] = None
    family: kinds.Word | None = None

    def globs(self) -> dict[str, str]:
        """Key → glob, of those given."""
        return {key: glob for key, glob in self if glob is not None}


class Rule(Section):
    """What one retention rule keeps of the models that it matches. Its keeps are OR-ed."""

    match: Match = Field(default_factory=Match)
    per: Annotated[Literal["family", "folder"], expecting('"family" or "folder"')] = "family"
    max_to_keep: Annotated[
        kinds.Count | None,
        expecting("a whole number, 1 or more; to keep everything, remove the rule"),
    ] = None
    keep_checkpoint_every_n_hours: kinds.Hours | None = None
    keep_every_n_steps: kinds.Count | None = None
    keep_within: kinds.Period | None = None
    keep_daily: kinds.Count | None = None
    keep_weekly: kinds.Count | None = None
    keep_monthly: kinds.Count | None = None
    keep_tags: kinds.Words = written([])
    keep_best: Best | None = None

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if not any(getattr(self, key) for key in type(self).model_fields if "keep" in key):
            raise fault(
                "a rule that says what it keeps, such as max_to_keep = 5; to keep everything, "
                "remove the rule"
            )
        return self

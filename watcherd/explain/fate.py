"""What becomes of a model, or became of it, and why. Pure; times as the registry writes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from watcherd.plan import State, Verdict

Row = Mapping[str, Any]


class Standing(StrEnum):
    """Where a model stands with retention."""

    KEPT = "kept"
    LEAVING = "leaving"
    """The rules would remove it now."""
    TRASHED = "trashed"
    MISSING = "missing"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of a model on disk."""

    verdict: Verdict
    rule: str | None
    """The rule that matches it, as the settings name it."""
    later: tuple[str, Verdict] | None = None
    """From when on it goes, and why, if nothing happens but that time passes."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """Whether and when what the rules say is carried out."""

    next_at: str | None = None
    """When the daemon prunes next, by its own word."""
    idle: tuple[str, ...] = ()
    """Why it does not."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Where a model stands, and why."""

    standing: Standing
    reasons: tuple[str, ...]
    rule: str | None = None
    since: str | None = None
    """When it went, of what is not in its place any more."""
    actor: str | None = None
    """Who noticed or did that."""
    until: str | None = None
    """Of what is kept for a time alone: its end. Of what leaves: when. Of what is in the trash:
    when it is purged."""
    then: tuple[str, ...] = ()
    """Why it goes when it is kept for a time alone."""
    notes: tuple[str, ...] = ()
    """What else there is to know, and to do."""


def fate_of(
    model: Row, history: Sequence[Row], judged: Judged | None, pruning: Pruning
) -> Fate | None:
    """What becomes of the model of this row; None where no rule is asked about it."""
    if model["trash"] is not None:
        return _trashed(model["model_id"], model["trash"])
    match State(model["state"]):
        case State.MISSING:
            return _missing(history)
        case State.TRASHED | State.DELETED:
            return _deleted(history)
    if judged is not None:
        return _kept(judged) if judged.verdict.keep else _leaving(judged, pruning)
    if model["copy_of"] is not None:
        why = f"a copy of model {model['copy_of']} in an ensemble: no rule removes it by itself"
        return Fate(Standing.KEPT, (why,))
    return None


def _kept(judged: Judged) -> Fate:
    until, then = judged.later or (None, None)
    return Fate(
        Standing.KEPT,
        judged.verdict.reasons,
        rule=judged.rule,
        until=until,
        then=then.reasons if then is not None else (),
    )


def _leaving(judged: Judged, pruning: Pruning) -> Fate:
    return Fate(
        Standing.LEAVING,
        judged.verdict.reasons,
        rule=judged.rule,
        until=None if pruning.idle else pruning.next_at,
        notes=pruning.idle,
    )


def _trashed(model_id: int, entry: Row) -> Fate:
    return Fate(
        Standing.TRASHED,
        tuple(json.loads(entry["reasons"])),
        since=entry["trashed_at"],
        actor=entry["actor"],
        until=entry["expires_at"],
        notes=(f"watcherd restore {model_id} brings it back, until it is purged",),
    )


def _missing(history: Sequence[Row]) -> Fate:
    line = _last(history, "missing") or {}
    return Fate(
        Standing.MISSING,
        ("it is gone from the disk: its trainer or a person removed it",),
        since=line.get("at"),
        actor=line.get("actor"),
        notes=("its row, marks and history stay; should it come back, so does its row",),
    )


def _deleted(history: Sequence[Row]) -> Fate:
    """From the history alone: the trash has forgotten it."""
    gone, purged = _last(history, "pruned", "deleted") or {}, _last(history, "purged")
    reasons = tuple((gone.get("details") or {}).get("reasons", ()))
    when = (f"purged from the trash at {purged['at']}",) if purged else ()
    return Fate(
        Standing.DELETED,
        reasons or ("a person removed it",),
        since=gone.get("at"),
        actor=gone.get("actor"),
        notes=(*when, "its row, marks and history stay"),
    )


def _last(history: Sequence[Row], *verbs: str) -> Row | None:
    return next((line for line in reversed(history) if line["verb"] in verbs), None)

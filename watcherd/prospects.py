"""The figures of a forecast, gathered from the registry, and the forecast made of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from watcherd.config import Settings
from watcherd.forecast import Figures, Forecast, Ruled, forecast, forecast_ruled, window_start
from watcherd.plan import Candidate
from watcherd.reconciler import Reconciler
from watcherd.registry import iso
from watcherd.registry.candidates import Candidates, load_candidates
from watcherd.registry.totals import first_line, growth_since, sum_trash
from watcherd.registry.whereabouts import count_below
from watcherd.retention import decide, metrics_of
from watcherd.wiring import rules_of

SOON = 365 * 86_400 * 1_000_000_000
"""A disk that is full later than in a year is no matter for the rules yet, in ns."""
MANY = 100_000
"""Models beyond which asking the rules takes longer than a person wants to wait for a status."""


@dataclass(frozen=True, slots=True)
class Prospects:
    """When the disk is full, and whether pruning holds that back."""

    figures: Figures
    plain: Forecast
    ruled: Forecast | None
    bytes_by_rule: Ruled | None
    why_not: str
    """Why the rules were not asked, or are not carried out; empty where they are."""

    def as_json(self) -> dict[str, Any]:
        """As ``status`` prints it (docs/commands.md)."""
        figures, ruled, sums = self.figures, self.ruled, self.bytes_by_rule
        return {
            "since": iso(figures.since),
            "new_bytes": figures.new_bytes,
            "gone_bytes": figures.gone_bytes,
            "bytes_per_day": self.plain.per_day,
            "full_at": _iso(self.plain.full_at),
            "why": self.plain.why or None,
            "pruned": {
                "kept_bytes": sums and sums.kept,
                "kept_before_bytes": sums and sums.kept_before,
                "removable_bytes": sums and sums.removable,
                "bytes_per_day": ruled and ruled.per_day,
                "full_at": ruled and _iso(ruled.full_at),
                "holds": ruled and ruled.full_at is None,
                "why": self.why_not or (ruled and ruled.why) or None,
            },
        }


def look_ahead(
    settings: Settings, reconciler: Reconciler, *, free_bytes: int, now: int
) -> Prospects:
    """Gather and forecast. ``now`` is in ns since the epoch. Raises RegistryError."""
    registry, root_id = reconciler.registry, reconciler.root.root_id
    known_since = first_line(registry)
    growth = growth_since(registry, root_id, window_start(now, known_since))
    figures = Figures(now, known_since, free_bytes, sum(growth.new.values()), growth.gone_bytes)
    plain = forecast(figures)
    if plain.full_at is None or plain.full_at - now > SOON:
        return Prospects(
            figures, plain, None, None, "not asked: the disk is not full within a year"
        )
    if not rules_of(settings):
        return Prospects(figures, plain, None, None, "there is no retention rule")
    if sum(count_below(registry, root_id, "").values()) > MANY:
        why = f"more than {MANY:,} models: watcherd prune --dry-run tells what the rules keep"
        return Prospects(figures, plain, None, None, why)
    candidates = load_candidates(registry, root_id, metrics_of(rules_of(settings)))
    trash = sum_trash(registry, root_id).size_bytes
    ruled = _ask_rules(settings, candidates, figures, growth.new.keys(), trash)
    return Prospects(figures, plain, forecast_ruled(figures, ruled), ruled, _idle(settings))


def _ask_rules(
    settings: Settings,
    candidates: Candidates,
    figures: Figures,
    new: Collection[int],
    trash_bytes: int,
) -> Ruled:
    before = tuple(one for one in candidates if one.model_id not in new)
    kept, removable = _judged_bytes(settings, candidates, figures.now)
    kept_before, _ = _judged_bytes(settings, before, figures.since)
    return Ruled(kept, kept_before, removable, trash_bytes)


def _judged_bytes(
    settings: Settings, candidates: Sequence[Candidate], moment: int
) -> tuple[int, int]:
    """What the rules would have kept and removed at a moment, in bytes."""
    min_age = int(settings.retention.min_age * 1e9)
    verdicts = decide(candidates, rules_of(settings), now=moment, min_age=min_age)
    total = sum(one.size_bytes for one in candidates)
    kept = sum(verdict.candidate.size_bytes for verdict in verdicts if verdict.keep)
    return kept, total - kept


def _idle(settings: Settings) -> str:
    """Why the rules are not carried out by themselves; empty where they are."""
    if settings.retention.dry_run:
        return "retention.dry_run is true: nothing is pruned until it is false"
    if settings.schedule.prune is None:
        return "schedule.prune is off: only watcherd prune prunes"
    return ""


def _iso(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)

"""What one cycle was asked, saw, decided and did: a value that can be counted and told."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from watcherd.plan import Change, Plan, Report
from watcherd.scope import ROOT, Request, Scope

MANY = 1_000
"""Changes of one cycle that are told one by one."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What became of one part of a cycle."""

    scope: Scope
    plan: Plan
    report: Report
    folders: int = 0
    artifacts: int = 0
    """Of the folders that were not what they were."""
    scanning: float = 0.0
    """Seconds that the scan took."""
    blind: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    loose: frozenset[str] = frozenset()
    """Folders that models are gone from: to be looked at again when all was seen."""


@dataclass
class Cycle:
    """What one cycle was asked, saw, decided and did, added up over its parts.

    Of a look at the whole root, lists keep the first ``MANY`` only; ``counts`` counts all.
    """

    request: Request
    scope: Scope
    """What was looked at: the request's scope and the folders that moves led to."""
    folders: int = 0
    artifacts: int = 0
    """Of the folders that were not what they were."""
    counts: Counter[str] = field(default_factory=Counter)
    """Verb -> events that were applied."""
    planned: Counter[str] = field(default_factory=Counter)
    """Verb -> events that were planned: all there is of a dry run."""
    plan: Plan = field(default_factory=Plan)
    report: Report = field(default_factory=Report)
    dues: dict[str, int] = field(default_factory=dict)
    """Folder -> when the first of what settles in it will have, in ns since the epoch."""
    blind: dict[str, str] = field(default_factory=dict)
    """Every path that nothing can be said about, with the reason."""
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    effort: float = 0.0
    """Seconds of disk or processor time, whichever is more, without waiting for the reading child
    or for others."""
    scanning: float = 0.0
    """Seconds that scans took."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was applied and is an event in a model's life."""
        return tuple(one.change for one in self.report.events)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Paths to look at again: changed while they were read, or since."""
        return (*self.plan.again, *self.report.dropped)

    def add(self, portion: Portion) -> None:
        """Take one part in."""
        most = MANY if self.request.scope == ROOT else None
        plan, report = portion.plan, portion.report
        self.scope |= portion.scope
        self.folders += portion.folders
        self.artifacts += portion.artifacts
        self.scanning += portion.scanning
        self.counts.update(str(one.change.verb) for one in report.events)
        self.planned.update(str(change.verb) for change in plan.events)
        self.plan = Plan(
            (*self.plan.changes, *plan.changes)[:most],
            (*self.plan.settling, *plan.settling)[:most],
            again=(*self.plan.again, *plan.again),
        )
        self.report = Report(
            (*self.report.applied, *report.applied)[:most],
            (*self.report.dropped, *report.dropped),
        )
        for seen in plan.settling:
            self.dues[seen.folder] = min(seen.due, self.dues.get(seen.folder, seen.due))
        self.blind |= {**portion.blind, **plan.blind}
        self.skipped |= portion.skipped

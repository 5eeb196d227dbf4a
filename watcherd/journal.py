"""What happened, as log lines: one canonical line a cycle, one line a model, trouble when it
begins and when it ends (docs/logs.md)."""

import logging
from typing import Any

from watcherd import logs
from watcherd.plan import Applied, Verb
from watcherd.pruner import Pruned
from watcherd.reconciler import MANY, Cycle
from watcherd.registry import Registry
from watcherd.scope import Cause

_EVENTS = {
    Verb.PRUNED: logs.PRUNE_TRASHED,
    Verb.RESTORED: logs.TRASH_RESTORED,
}


def tell_cycle(cycle: Cycle, registry: Registry) -> None:
    """A line for each model that changed, then one for the cycle."""
    log = logs.get()
    events = cycle.report.events
    many = cycle.counts.total() >= MANY
    write = log.debug if many else log.info
    if not many or log.is_enabled_for(logging.DEBUG):
        places = registry.places_of([one.model_id for one in events])
        for one in events:
            write(_event_of(one), **_facts_of(one, places, cycle.request.cause))
    quiet = cycle.request.cause is Cause.EVENT and not events
    (log.debug if quiet else log.info)(logs.CYCLE_DONE, **counts_of(cycle))


def tell_prune(pruned: Pruned, registry: Registry, cause: Cause) -> None:
    """What the rules decided, and what was done about it."""
    for cycle in pruned.cycles:
        tell_cycle(cycle, registry)
    log = logs.get()
    (log.info if pruned.removing else log.debug)(
        logs.PRUNE_DECIDED,
        cause=cause,
        models=len(pruned.verdicts),
        removing=len(pruned.removing),
        trashed=len(pruned.trashed),
        failed=len(pruned.failed),
        bytes_freed=pruned.bytes_freed,
        dry_run=pruned.dry_run,
    )
    for verdict, why in pruned.failed:
        logs.get().warning(logs.FAILURE_RAISED, path=verdict.candidate.path, error=why)


def _event_of(one: Applied) -> str:
    verb = one.change.verb
    return _EVENTS.get(verb, f"model.{verb}")


def _facts_of(one: Applied, places: dict[int, dict[str, Any]], cause: Cause) -> dict[str, Any]:
    change = one.change
    facts: dict[str, Any] = {"path": change.path, **places.get(one.model_id, {}), "cause": cause}
    if change.from_path:
        facts["from_path"] = change.from_path
    if change.reason:
        facts["reason"] = change.reason
    return facts


def counts_of(cycle: Cycle) -> dict[str, Any]:
    """The canonical line of a cycle: what it was asked, what it saw, what it did."""
    return {
        "cause": cycle.request.cause,
        "scope": str(cycle.request.scope),
        "folders": cycle.folders,
        "artifacts": cycle.artifacts,
        **cycle.counts,
        "settling": len(cycle.plan.settling),
        "blind": len(cycle.blind),
        "seconds": round(cycle.seconds, 3),
    }

"""What happened, as log lines: one canonical line a cycle, one line a model, trouble when it
begins and when it ends (docs/logs.md)."""

import logging
from collections.abc import Mapping
from typing import Any

from watcherd import logs
from watcherd.cycle import MANY, Cycle
from watcherd.plan import NOTHING, Applied, Verb
from watcherd.pruner import Pruned
from watcherd.purging import Emptied
from watcherd.registry import Registry
from watcherd.scope import Cause

_EVENTS = {
    Verb.PRUNED: logs.PRUNE_TRASHED,
    Verb.PURGED: logs.TRASH_PURGED,
    Verb.RESTORED: logs.TRASH_RESTORED,
}


def tell_cycle(cycle: Cycle, registry: Registry, *, is_routine: bool = False) -> None:
    """A line for each model that changed, then one for the cycle: at debug where it was routine, as
    after an event, and found nothing."""
    log = logs.get()
    events = cycle.report.events
    many = cycle.counts.total() >= MANY
    write = log.debug if many else log.info
    told = events if not many or log.is_enabled_for(logging.DEBUG) else ()
    alarming = [one for one in cycle.report.applied if one.lost or one.fault]
    places = registry.places_of([one.model_id for one in (*told, *alarming)])
    for one in told:
        write(_event_of(one), **_facts_of(one, places, cycle.request.cause))
    for one in alarming:
        _warn(one, _facts_of(one, places, cycle.request.cause))
    quiet = (is_routine or cycle.request.cause is Cause.EVENT) and not events
    (log.debug if quiet else log.info)(logs.CYCLE_DONE, **counts_of(cycle))


def _warn(one: Applied, facts: dict[str, Any]) -> None:
    """What a person may regret: a better model overwritten, a note that says nothing."""
    if one.lost:
        logs.get().warning(logs.MODEL_OVERWRITTEN, **facts, lost=dict(one.lost))
    if one.fault:
        logs.get().warning(logs.NOTE_REFUSED, **facts, error=one.fault)


def tell_prune(
    pruned: Pruned, registry: Registry, cause: Cause, known: Mapping[str, str] = NOTHING
) -> dict[str, str]:
    """What the rules decided, and what was done about it.

    ``known``: path -> why it could not be moved last time. The same is not told again; returned is
    what holds now.
    """
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
    failing = {verdict.candidate.path: why for verdict, why in pruned.failed}
    _tell_failures(failing, known)
    return failing


def tell_purge(
    emptied: Emptied, registry: Registry, cause: Cause, known: Mapping[str, str] = NOTHING
) -> dict[str, str]:
    """What was removed for good; ``known`` and the result as in ``tell_prune``."""
    log = logs.get()
    write = log.debug if len(emptied.purged) >= MANY else log.info
    places = registry.places_of([one.model_id for one in emptied.purged])
    for one in emptied.purged:
        facts = {"path": one.path, **places.get(one.model_id, {}), "cause": cause}
        write(logs.TRASH_PURGED, **facts, reason=one.reason, bytes_freed=one.bytes_freed)
    _tell_failures(emptied.failed, known)
    return dict(emptied.failed)


def _tell_failures(failing: Mapping[str, str], known: Mapping[str, str]) -> None:
    for path, why in failing.items():
        if known.get(path) != why:
            logs.get().warning(logs.FAILURE_RAISED, path=path, error=why)
    for path in known.keys() - failing.keys():
        logs.get().info(logs.FAILURE_ENDED, path=path)


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

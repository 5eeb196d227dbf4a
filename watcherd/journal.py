"""What happened, as log lines: one canonical line a cycle, one line a model, trouble when it
begins and when it ends (docs/logs.md)."""

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any

from watcherd import logs
from watcherd.cycle import MANY, Cycle
from watcherd.plan import NOTHING, Applied, Bond, Verb
from watcherd.proof import Answer, Proof, Subject
from watcherd.pruner import Pruned
from watcherd.purging import Emptied
from watcherd.registry import Registry
from watcherd.registry.compaction import Compaction
from watcherd.scope import Cause
from watcherd.upkeep import Copied

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
    _tell_ensembles(cycle, registry)
    quiet = (is_routine or cycle.request.cause is Cause.EVENT) and not events
    (log.debug if quiet else log.info)(logs.CYCLE_DONE, **counts_of(cycle))


def tell_others(lines: Sequence[Mapping[str, Any]], registry: Registry) -> None:
    """Log what others wrote into the history, a line each; at debug if they are a thousand or
    more."""
    log = logs.get()
    write = log.debug if len(lines) >= MANY else log.info
    places = registry.places_of([line["model_id"] for line in lines])
    for line in lines:
        details = line["details"]
        reasons = [details["reason"]] if "reason" in details else details.get("reasons", [])
        facts = {
            "path": line["path"],
            **places.get(line["model_id"], {}),
            "cause": line["cause"],
            "actor": line["actor"],
            **({"from_path": line["from_path"]} if line["from_path"] else {}),
            **({"reason": "; ".join(reasons)} if reasons else {}),
        }
        write(_event_called(Verb(line["verb"])), **facts)


def tell_adoption(root: str, actor: str) -> None:
    """A person said that the folder at the root's path is the root."""
    logs.get().info(logs.ROOT_ADOPTED, root=root, actor=actor)


def _warn(one: Applied, facts: dict[str, Any]) -> None:
    """Warn of what a person may regret: a better model was overwritten, a note cannot be used."""
    if one.lost:
        logs.get().warning(logs.MODEL_OVERWRITTEN, **facts, lost=dict(one.lost))
    if one.fault:
        logs.get().warning(logs.NOTE_REFUSED, **facts, error=one.fault)


_BONDS = {
    Bond.JOINED: logs.ENSEMBLE_JOINED,
    Bond.LEFT: logs.ENSEMBLE_LEFT,
    Bond.OUTDATED: logs.ENSEMBLE_OUTDATED,
}


def _tell_ensembles(cycle: Cycle, registry: Registry) -> None:
    """What became a copy of what, or is none any more; as a warning, that one is out of date."""
    news = [news for one in cycle.report.applied for news in one.ensembles]
    places = registry.places_of([one.model_id for one in news])
    log = logs.get()
    for one in news:
        write = log.warning if one.bond is Bond.OUTDATED else log.info
        facts = {"path": one.path, **places.get(one.model_id, {}), "cause": cycle.request.cause}
        (log.debug if len(news) >= MANY else write)(
            _BONDS[one.bond], **facts, ensemble_type=one.ensemble_type, copy_path=one.copy_path
        )


def tell_prune(
    pruned: Pruned, registry: Registry, cause: Cause, known: Mapping[str, str] = NOTHING
) -> dict[str, str]:
    """What the rules decided, and what was done about it.

    ``known``: path -> why it could not be moved last time. The same is not told again; returned is
    what holds now.
    """
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
    for cycle in pruned.cycles:
        tell_cycle(cycle, registry)
    failing = {verdict.candidate.path: why for verdict, why in pruned.failed}
    _tell_failures(failing, known)
    return failing


def tell_foreseen(
    pruned: Pruned, registry: Registry, cause: Cause, known: Set[int] = frozenset()
) -> Set[int]:
    """What a dry run would have moved; ``known``: the models of which the last one told it."""
    log = logs.get()
    going = {one.candidate.model_id: one for one in pruned.removing} if pruned.dry_run else {}
    fresh = going.keys() - known
    write = log.debug if len(fresh) >= MANY else log.info
    places = registry.places_of(sorted(fresh))
    for model_id in sorted(fresh):
        verdict = going[model_id]
        facts = {"path": verdict.candidate.path, **places.get(model_id, {}), "cause": cause}
        write(logs.PRUNE_FORESEEN, **facts, reason="; ".join(verdict.reasons))
    return frozenset(going)


def tell_proof(subject: Subject, proof: Proof, registry: Registry, cause: Cause) -> None:
    """What TensorFlow said of a model."""
    record, is_open = subject.record, proof.answer is Answer.OPENED
    place = registry.places_of([record.model_id]).get(record.model_id, {})
    facts = {"path": record.path, **place, "cause": cause, "judge": proof.judge}
    if proof.reason:
        facts["reason"] = proof.reason
    logs.get().info(logs.MODEL_VERIFIED if is_open else logs.MODEL_UNVERIFIED, **facts)


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


def tell_copy(copied: Copied | None) -> None:
    """A copy of the registry was made, if one was due."""
    if copied is not None:
        logs.get().info(
            logs.REGISTRY_COPIED,
            path=str(copied.copy.path),
            size_bytes=copied.copy.size_bytes,
            seconds=round(copied.seconds, 3),
        )


def tell_compactions(done: Iterable[Compaction]) -> None:
    """What was dropped from the registry."""
    for one in done:
        logs.get().info(logs.REGISTRY_COMPACTED, **asdict(one))


def _tell_failures(failing: Mapping[str, str], known: Mapping[str, str]) -> None:
    for path, why in failing.items():
        if known.get(path) != why:
            logs.get().warning(logs.FAILURE_RAISED, path=path, error=why)
    for path in known.keys() - failing.keys():
        logs.get().info(logs.FAILURE_ENDED, path=path)


def _event_of(one: Applied) -> str:
    return _event_called(one.change.verb)


def _event_called(verb: Verb) -> str:
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

"""What the rules say of one model now, and from when on time alone would change that.

The rules are retention's and the guards the pruner's; they are asked about one folder, in which all
lies that a rule counts.
"""

from collections.abc import Iterator, Mapping

from watcherd.explain.fate import Judged
from watcherd.guards import find_held
from watcherd.plan import NOTHING, Candidate, Verdict
from watcherd.pruner import Policy, Pruner
from watcherd.registry import iso
from watcherd.registry.candidates import load_candidates
from watcherd.retention import Rule, decide, metrics_of
from watcherd.scope import parent_of

SECOND = 1_000_000_000


def judge(pruner: Pruner, model_id: int, path: str, *, now: int) -> Judged | None:
    """The verdict upon a model; None where retention has no say in it (it is a copy).

    ``now`` is in ns since the epoch. Raises RegistryError.
    """
    reconciler, policy = pruner.reconciler, pruner.policy
    metrics = metrics_of(policy.rules)
    mates = load_candidates(
        reconciler.registry, reconciler.root.root_id, metrics, folder=parent_of(path)
    )
    at = next((at for at, one in enumerate(mates) if one.model_id == model_id), None)
    if at is None:
        return None

    def verdict_at(moment: int, held: Mapping[str, str] = NOTHING) -> Verdict:
        min_age = int(policy.min_age * SECOND)
        return decide(mates, policy.rules, now=moment, min_age=min_age, held=held)[at]

    verdict = verdict_at(now)
    rule = None if verdict.rule is None else policy.rules[verdict.rule]
    moments = (moment for moment in _ends(mates[at], policy, rule) if moment > now)
    turns = ((moment, verdict_at(moment)) for moment in moments)
    later = next(((moment, then) for moment, then in turns if not then.keep), None)
    if not verdict.keep or later is not None:
        # What the world holds, time alone does not let go.
        held = find_held(reconciler, [mates[at]])
        verdict, later = verdict_at(now, held), None if held else later
    return Judged(
        verdict,
        None if rule is None else f"retention.rule[{verdict.rule}], {rule}",
        (iso(later[0]), later[1]) if verdict.keep and later else None,
    )


def _ends(one: Candidate, policy: Policy, rule: Rule | None) -> Iterator[int]:
    """When what keeps it for a time only ends, in order: keeps and guards that count its age."""
    newest = max(one.modified_ns, one.seen_ns)
    ends = {newest, newest + int(policy.min_age * SECOND)}
    if rule is not None and rule.keep_within is not None:
        ends.add(one.modified_ns + round(rule.keep_within * SECOND))
    yield from sorted(ends)

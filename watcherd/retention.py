"""Which models may go, as a pure function: rules say what they keep, guards keep regardless.

A model goes only if the first rule that matches it does not keep it and no guard does. Every
verdict brings its reasons, so that a person can be told why.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from watcherd.plan import Candidate, Format, State, Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """What the models that match it keep of each family."""

    max_to_keep: int
    match: Mapping[str, str] = field(default_factory=dict)
    """Field -> glob; case counts in intervals only (1m is a minute, 1M a month)."""

    def matches(self, one: Candidate) -> bool:
        return all(_fits(key, getattr(one, key), glob) for key, glob in self.match.items())

    def __str__(self) -> str:
        match = ", ".join(f"{key} {glob}" for key, glob in self.match.items())
        return f"rule {match}" if match else "rule"


REMOVABLE = frozenset({Format.H5, Format.WEIGHTS_H5, Format.HDF5, Format.KERAS, Format.CHECKPOINT})

Order = tuple[int, int, str]
Guard = Callable[[Candidate], str | None]
"""Why a model must not go; None where the guard has nothing to say."""


def decide(
    candidates: Iterable[Candidate],
    rules: Sequence[Rule],
    *,
    now: int,
    min_age: int = 0,
    unclear: Collection[str] = (),
) -> tuple[Verdict, ...]:
    """A verdict for every candidate, in the order of their paths.

    ``now`` and ``min_age`` are in nanoseconds; ``unclear`` are paths that are changing or could not
    be looked at. Without a rule everything is kept.
    """
    common = (
        _is_named_by_state_file,
        _is_young(now, min_age),
        _is_from_the_future(now),
        _is_not_complete,
        _is_unclear(unclear),
        _is_not_removable,
        _is_pinned,
        _is_aliased,
    )
    groups: defaultdict[tuple[object, ...], list[Candidate]] = defaultdict(list)
    for one in candidates:
        groups[one.group].append(one)
    verdicts = [
        verdict
        for members in groups.values()
        for verdict in _decide_group(sorted(members, key=_order), rules, common)
    ]
    return tuple(sorted(verdicts, key=lambda verdict: verdict.candidate.path))


def _decide_group(
    members: Sequence[Candidate], rules: Sequence[Rule], common: Sequence[Guard]
) -> Iterable[Verdict]:
    """``members``: one family, oldest first. ``common``: the guards that look at one model only."""
    complete = [one for one in members if one.state is State.PRESENT]
    guards = (_is_newest(complete), _has_highest_step(complete), *common)
    ranks = [_rank(complete, rule) for rule in rules]
    for one in members:
        held = [reason for guard in guards if (reason := guard(one))]
        kept, verdict = _apply_rules(one, rules, ranks)
        reasons = [verdict, *held] if kept or not held else held
        yield Verdict(one, bool(kept or held), tuple(reasons))


def _rank(complete: Sequence[Candidate], rule: Rule) -> dict[int, int]:
    """model_id -> 1 for the newest complete model that the rule matches, 2 for the next, ..."""
    matched = [one for one in reversed(complete) if rule.matches(one)]
    return {one.model_id: rank for rank, one in enumerate(matched, 1)}


def _apply_rules(
    one: Candidate, rules: Sequence[Rule], ranks: Sequence[Mapping[int, int]]
) -> tuple[bool, str]:
    """Whether the first rule that matches keeps it, and what that rule says of it."""
    for rule, rank_of in zip(rules, ranks, strict=True):
        if not rule.matches(one):
            continue
        if one.state is not State.PRESENT:
            return True, "only complete models are counted and removed"
        rank = rank_of[one.model_id]
        return rank <= rule.max_to_keep, f"max_to_keep {rank} of {rule.max_to_keep}"
    return True, "no rule matches"


def _order(one: Candidate) -> Order:
    """By time, then step, then path: a restarted training counts from step 0 again."""
    return (one.modified_ns, -1 if one.step is None else one.step, one.path)


def _fits(key: str, value: str | None, glob: str) -> bool:
    if value is None:
        return glob == "*"
    if key == "interval":
        return fnmatchcase(value, glob)
    return fnmatchcase(value.lower(), glob.lower())


# -- guards: what no setting can turn off ----------------------------------------------------------


def _is_newest(complete: Sequence[Candidate]) -> Guard:
    newest = complete[-1] if complete else None
    return lambda one: "the newest complete of its family" if one is newest else None


def _has_highest_step(complete: Sequence[Candidate]) -> Guard:
    """The newest by step may be another than by time, where a training was restarted."""
    stepped = [one for one in complete if one.step is not None]
    highest = max(stepped, key=lambda one: (one.step, _order(one)), default=None)
    return lambda one: "the highest step of its family" if one is highest else None


def _is_named_by_state_file(one: Candidate) -> str | None:
    return "named by a state file: a trainer resumes from it" if one.resume else None


def _is_young(now: int, min_age: int) -> Guard:
    """Counted from the latest of: mtime, first seen, moved here."""
    return lambda one: (
        "younger than min_age" if now - max(one.modified_ns, one.seen_ns) < min_age else None
    )


def _is_from_the_future(now: int) -> Guard:
    return lambda one: "dated in the future" if max(one.modified_ns, one.seen_ns) > now else None


def _is_not_complete(one: Candidate) -> str | None:
    return None if one.state is State.PRESENT else f"it is {one.state}"


def _is_unclear(unclear: Collection[str]) -> Guard:
    return lambda one: "it is changing, or could not be looked at" if one.path in unclear else None


def _is_not_removable(one: Candidate) -> str | None:
    """Formats whose way to the trash and back has not been proven yet."""
    return None if one.format in REMOVABLE else f"this version removes no {one.format}"


def _is_pinned(one: Candidate) -> str | None:
    return "pinned" if one.pinned else None


def _is_aliased(one: Candidate) -> str | None:
    return "has an alias" if one.aliased else None

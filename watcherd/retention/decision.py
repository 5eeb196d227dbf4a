"""Which models may go. A model goes only if neither its rule nor a guard keeps it."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from watcherd.plan import NOTHING, UNRULED, Candidate
from watcherd.retention.guards import Guard, guards_of, guards_within, is_counted, order
from watcherd.retention.keeps import Keep, Said, keeps_of
from watcherd.retention.rules import Rule
from watcherd.retention.verdicts import NO_RULE, Verdicts
from watcherd.scope import parent_of


def decide(
    candidates: Sequence[Candidate],
    rules: Sequence[Rule],
    *,
    now: int,
    min_age: int = 0,
    held: Mapping[str, str] = NOTHING,
) -> Verdicts:
    """A verdict for every candidate, in the order in which they are given.

    ``now`` and ``min_age`` are in nanoseconds. ``held``: path -> why it must stay, by what was
    found outside the registry; a folder's path holds all below it. Without a rule everything is
    kept.
    """
    keeps = tuple(tuple(keeps_of(rule, now)) for rule in rules)
    law = _Law(rules, keeps, guards_of(now, min_age, held), now)
    keep = bytearray(len(candidates))
    reasons: list[tuple[str, ...]] = [()] * len(candidates)
    numbers = array("i", [NO_RULE]) * len(candidates)
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    # One folder at a time: a family lies in one, and so does all that a rule counts.
    for places in _folders(candidates):
        rulings = _rule_upon([candidates[at] for at in places], law)
        for at, (keep[at], why, numbers[at]) in zip(places, rulings, strict=True):
            reasons[at] = shared.setdefault(why, why)
    return Verdicts(candidates, keep, reasons, numbers, range(len(candidates)))


@dataclass(frozen=True, slots=True)
class _Law:
    """What is the same for every folder."""

    rules: Sequence[Rule]
    keeps: Sequence[Sequence[Keep]]
    """Of each rule."""
    guards: Sequence[Guard]
    now: int
    known: dict[tuple[object, ...], int] = field(default_factory=dict)
    """What rules match by -> the number of the first that does."""

    def number_of(self, one: Candidate) -> int:
        """The model's rule: the first that matches."""
        key = (one.interval, one.ticker, one.type, one.format, one.family)
        number = self.known.get(key)
        if number is None:
            matching = (at for at, rule in enumerate(self.rules) if rule.matches(one))
            number = self.known[key] = next(matching, NO_RULE)
        return number


def _folders(candidates: Iterable[Candidate]) -> Iterable[Sequence[int]]:
    """The places of the candidates of each folder, four bytes each."""
    places: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
    for at, one in enumerate(candidates):
        places[parent_of(one.path)].append(at)
    return places.values()


_Ruling = tuple[bool, tuple[str, ...], int]
"""Keep; why; the number of the rule."""


def _rule_upon(members: Sequence[Candidate], law: _Law) -> Iterator[_Ruling]:
    """``members``: one folder's."""
    counted = [one for one in members if is_counted(one, law.now)]
    within = _guards_of_families(counted)
    said = _said_by_rules(counted, law)
    for one in members:
        number = law.number_of(one)
        says = said.get(one.model_id, ())
        reasons = [words for keep, words in says if keep]
        if number == NO_RULE:
            reasons.append(UNRULED)
        reasons += [why for guard in within.get(one.group, ()) if (why := guard(one))]
        reasons += [why for guard in law.guards if (why := guard(one))]
        yield bool(reasons), tuple(reasons or [words for _, words in says]), number


def _guards_of_families(counted: Iterable[Candidate]) -> dict[object, tuple[Guard, ...]]:
    families: defaultdict[object, list[Candidate]] = defaultdict(list)
    for one in counted:
        families[one.group].append(one)
    return {group: guards_within(family) for group, family in families.items()}


def _said_by_rules(counted: Iterable[Candidate], law: _Law) -> dict[int, tuple[Said, ...]]:
    """model_id -> what each keep of its rule says of it."""
    groups: defaultdict[tuple[int, object], list[Candidate]] = defaultdict(list)
    for one in counted:
        number = law.number_of(one)
        if number != NO_RULE:
            groups[number, law.rules[number].group_of(one)].append(one)
    said: dict[int, tuple[Said, ...]] = {}
    for (number, _), group in groups.items():
        group.sort(key=order)
        says = zip(*(keep(group) for keep in law.keeps[number]), strict=True)
        said.update(zip((one.model_id for one in group), says, strict=True))
    return said

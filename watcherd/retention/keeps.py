"""What each key of a rule keeps: a small function a key, with its reason in words.

A keep is given the complete models of one group, oldest first, and says of each whether it keeps
it, and why or why not. The words are few and shared: a million verdicts need no million texts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from math import isnan
from typing import NamedTuple

from watcherd.plan import Candidate
from watcherd.retention.rules import Best, Rule

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
HOUR = 3_600 * SECOND
_EPOCH = date(1970, 1, 1).toordinal()


class Said(NamedTuple):
    """What a keep says of one model."""

    keep: bool
    words: str


Members = Sequence[Candidate]
"""Complete models of one group, oldest first: by time, then step, then path."""
Keep = Callable[[Members], Iterable[Said]]
"""Says of each of the members, in their order."""


def keeps_of(rule: Rule, now: int) -> Iterator[Keep]:
    """What a rule asks for. ``now`` is in ns since the epoch."""
    if rule.max_to_keep is not None:
        yield newest(rule.max_to_keep)
    if rule.keep_checkpoint_every_n_hours is not None:
        yield every_n_hours(rule.keep_checkpoint_every_n_hours, rule.max_to_keep or 0)
    if rule.keep_every_n_steps is not None:
        yield every_n_steps(rule.keep_every_n_steps)
    if rule.keep_within is not None:
        yield within(rule.keep_within, now)
    for key, most, period_of in (
        ("keep_daily", rule.keep_daily, day_of),
        ("keep_weekly", rule.keep_weekly, week_of),
        ("keep_monthly", rule.keep_monthly, month_of),
    ):
        if most is not None:
            yield newest_of_each(key, most, period_of)
    if rule.keep_tags:
        yield tagged(rule.keep_tags)
    if rule.keep_best is not None:
        yield best(rule.keep_best)


def newest(most: int) -> Keep:
    """``max_to_keep``: the newest so many."""
    return lambda members: (_ranked("max_to_keep", at, most) for at in range(len(members), 0, -1))


def every_n_hours(hours: float, active: int) -> Keep:
    """``keep_checkpoint_every_n_hours``, as ``tf.train.CheckpointManager._sweep`` means it.

    The newest ``active`` (max_to_keep) are not its concern yet. Each older one, from the oldest
    on, is preserved if it is at least so many hours younger than the last one preserved. The very
    first is preserved: with it gone, every next decision would begin the count anew.
    """
    gap = round(hours * HOUR)
    key = f"keep_checkpoint_every_n_hours {hours:g}"
    preserved = Said(True, key)
    too_soon = Said(False, f"{key}: too soon after the last one preserved")

    def keep(members: Members) -> Iterator[Said]:
        last: int | None = None
        for left, one in zip(range(len(members), 0, -1), members, strict=True):
            if left > active and (last is None or one.modified_ns - last >= gap):
                last = one.modified_ns
                yield preserved
            else:
                yield too_soon

    return keep


def every_n_steps(steps: int) -> Keep:
    """``keep_every_n_steps``: the first at or after each multiple, of equal ones the newest.

    What is kept stays the first, so that pruning changes nothing in what the next run keeps.
    """
    key = f"keep_every_n_steps {steps}"
    first = Said(True, key)
    between = Said(False, f"{key}: between two of them")
    stepless = Said(False, f"{key}: it has no step")

    def keep(members: Members) -> Iterator[Said]:
        numbered = [(one.step, -at) for at, one in enumerate(members) if one.step is not None]
        # The last one written stands: the lowest step, and the newest of equal ones.
        firsts = {step // steps: -at for step, at in sorted(numbered, reverse=True)}
        kept = set(firsts.values())
        for at, one in enumerate(members):
            yield stepless if one.step is None else first if at in kept else between

    return keep


def within(seconds: float, now: int) -> Keep:
    """``keep_within``: all whose files are younger."""
    since = now - round(seconds * SECOND)
    younger = Said(True, f"keep_within {_duration(seconds)}")
    older = Said(False, f"keep_within {_duration(seconds)}: older")
    return lambda members: (younger if one.modified_ns > since else older for one in members)


def newest_of_each(key: str, most: int, period_of: Callable[[int], str]) -> Keep:
    """``keep_daily`` and its like: the newest of each of the last so many periods that have any.

    Periods are natural ones in UTC, in which the registry writes its times: a host's zone, or a
    change to summer time, changes no verdict.
    """

    def keep(members: Members) -> list[Said]:
        periods: list[str] = []
        said: list[Said] = []
        for one in reversed(members):
            period = period_of(one.modified_ns // DAY)
            is_newest = not periods or periods[-1] != period
            if is_newest:
                periods.append(period)
            said.append(_newest_said(key, period, most, is_newest, len(periods) <= most))
        return said[::-1]

    return keep


def tagged(wanted: Sequence[str]) -> Keep:
    """``keep_tags``: all that have one of these tags, by key or by ``key=value``."""
    none = Said(False, f"keep_tags: none of {', '.join(wanted)}")
    found = {tag: Said(True, f"keep_tags {tag}") for tag in wanted}

    def say(tags: Mapping[str, str | None]) -> Said:
        labels = {*tags, *(f"{key}={value}" for key, value in tags.items() if value)}
        return next((found[tag] for tag in wanted if tag in labels), none)

    return lambda members: (say(one.tags) if one.tags else none for one in members)


def best(wanted: Best) -> Keep:
    """``keep_best``: the best by a metric, of equal ones the newer; NaN is never among them.

    What has no result yet is kept: nobody knows how good it is.
    """
    key = f"keep_best {wanted.metric}"
    unknown = Said(True, f"{key}: it has no such result yet")
    nan = Said(False, f"{key}: its result is NaN")
    sign = 1 if wanted.mode == "min" else -1

    def keep(members: Members) -> Iterator[Said]:
        values = [one.results.get(wanted.metric) for one in members]
        known = [
            (sign * value, -at)
            for at, value in enumerate(values)
            if value is not None and not isnan(value)
        ]
        rank_of = {-at: rank for rank, (_, at) in enumerate(sorted(known), 1)}
        for at, value in enumerate(values):
            if value is None:
                yield unknown
            else:
                yield _ranked(key, rank_of[at], wanted.count) if at in rank_of else nan

    return keep


# -- words and periods, made once for many models --------------------------------------------------


@lru_cache(maxsize=4096)
def _ranked(key: str, rank: int, most: int) -> Said:
    return Said(rank <= most, f"{key} {rank} of {most}")


@lru_cache(maxsize=4096)
def _newest_said(key: str, period: str, most: int, is_newest: bool, is_recent: bool) -> Said:
    if not is_newest:
        return Said(False, f"{key}: not the newest of {period}")
    if not is_recent:
        return Said(False, f"{key}: {period} is not among the last {most}")
    return Said(True, f"{key}: newest of {period}")


@lru_cache(maxsize=4096)
def day_of(day: int) -> str:
    """``2026-11-20`` of a day counted from 1970-01-01."""
    return date.fromordinal(_EPOCH + day).isoformat()


@lru_cache(maxsize=4096)
def week_of(day: int) -> str:
    """``2026-W47`` of such a day: the week of ISO 8601, which begins on Monday."""
    year, week, _ = date.fromordinal(_EPOCH + day).isocalendar()
    return f"{year}-W{week:02d}"


@lru_cache(maxsize=4096)
def month_of(day: int) -> str:
    """``2026-11`` of such a day."""
    return day_of(day)[:7]


def _duration(seconds: float) -> str:
    """``24h``, as a person would write it in the settings."""
    units = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60}
    unit = next((unit for unit, size in units.items() if seconds % size == 0), "s")
    return f"{seconds / units.get(unit, 1):g}{unit}"

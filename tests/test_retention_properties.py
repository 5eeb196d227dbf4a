"""Invariants of retention, for generated groups and rule sets, and TensorFlow's own sweep beside.

I4 what is removed was decided, and guards hold for every rule set. I6 a verdict is upon the model
as it was given, and what changes is not removed. I8 kept + removed = all, each with a reason.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from math import nan
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from watcherd.plan import Candidate, Format, State
from watcherd.registry.candidates import Candidates
from watcherd.retention import REMOVABLE, Best, Rule, Verdicts, decide

EXAMPLES = int(os.environ.get("WATCHERD_EXAMPLES", "100"))
"""Of each invariant; `make test-long` asks for more."""
SAVES = EXAMPLES // 10
"""Trainings that TensorFlow really saves: each takes a hundred times as long."""

HOUR = 3600 * 1_000_000_000
NOW = 500_000 * HOUR
"""In the year 2027."""

FOLDERS = ("1h/BTC/LSTM", "1h/BTC/LSTM", "1h/BTC/LSTM/deep", "4h/ETH/GRU")
TAGS = ({}, {"champion": None}, {"stage": "live"}, {"stage": "old", "champion": "x"})


def _candidate(
    age: int, step: int | None, place: tuple[str, str], told: tuple[Any, ...], rare: int
) -> Candidate:
    """``rare`` is 0 for most: a number of a guard, which this one alone meets."""
    folder, name = place
    interval, ticker, type_ = folder.split("/")[:3]
    tags, value, format_, likeness = told
    at = NOW - age * HOUR
    return Candidate(
        model_id=0, path=f"{folder}/{name}", interval=interval, ticker=ticker, type=type_,
        format=format_, family=f"{folder}/{name}-*", architecture=likeness, step=step,
        state={1: State.INCOMPLETE, 2: State.UNREADABLE}.get(rare, State.PRESENT),
        modified_ns=NOW + HOUR if rare == 3 else at, seen_ns=NOW + HOUR if rare == 4 else at,
        size_bytes=abs(age), revision=1, resume=rare == 5, pinned=rare == 6, aliased=rare == 7,
        ensemble=rare == 8, tags=tags, results={} if value is None else {"loss": value},
    )  # fmt: skip


def _numbered(found: list[Candidate]) -> list[Candidate]:
    return [one._replace(model_id=at, path=f"{one.path}-{at}") for at, one in enumerate(found, 1)]


MODELS = st.lists(
    st.builds(
        _candidate,
        st.integers(0, 120) | st.integers(0, 5000),
        st.none() | st.integers(0, 60),
        st.tuples(st.sampled_from(FOLDERS), st.sampled_from("aaab")),
        st.tuples(
            st.sampled_from(TAGS),
            st.sampled_from([None, nan, 0.1, 0.2, 0.3]),
            st.sampled_from([Format.CHECKPOINT] * 10 + [Format.H5, "gadget"]),
            st.sampled_from([None] * 6 + ["x"]),
        ),
        st.integers(-12, 8),
    ),
    min_size=8,
    max_size=30,
).map(_numbered)

COUNTS = st.none() | st.integers(1, 6)
KEEPS: dict[str, st.SearchStrategy[Any]] = {
    "max_to_keep": COUNTS,
    "keep_checkpoint_every_n_hours": st.none() | st.sampled_from([0.5, 1.0, 12.0, 100.0]),
    "keep_every_n_steps": st.none() | st.integers(1, 30),
    "keep_within": st.none() | st.integers(1, 200).map(lambda hours: hours * 3600.0),
    "keep_daily": COUNTS,
    "keep_weekly": COUNTS,
    "keep_monthly": COUNTS,
    "keep_tags": st.sampled_from([(), ("champion",), ("stage=live", "none")]),
    "keep_best": st.none() | st.builds(Best, st.just("loss"), st.sampled_from(["min", "max"]),
                                       st.integers(1, 4)),
}  # fmt: skip
KEYS = st.lists(st.sampled_from(sorted(KEEPS)), min_size=1, max_size=3, unique=True)


@st.composite
def _rules(draw: st.DrawFn) -> Rule:
    asked = {key: draw(KEEPS[key]) for key in draw(KEYS)}
    if not any(asked.values()):
        asked = {"max_to_keep": 1}
    match = draw(st.sampled_from([{}, {}, {}, {"ticker": "b*"}, {"type": "GRU"}, {"format": "h5"}]))
    return Rule(match=match, per=draw(st.sampled_from(["family", "folder"])), **asked)


RULE = _rules()
RULES = st.lists(RULE, min_size=1, max_size=3).map(tuple)


def judged(models: Sequence[Candidate], *rules: Rule, **more: Any) -> Verdicts:
    return decide(models, rules, now=NOW, **more)


def removed(models: Sequence[Candidate], *rules: Rule, **more: Any) -> set[int]:
    return {one.candidate.model_id for one in judged(models, *rules, **more).removing}


def families(models: Sequence[Candidate]) -> list[list[Candidate]]:
    """The complete models of each family."""
    found: defaultdict[object, list[Candidate]] = defaultdict(list)
    for one in models:
        if one.state is State.PRESENT:
            found[one.group].append(one)
    return list(found.values())


def _order(one: Candidate) -> tuple[int, int, str]:
    return (one.modified_ns, -1 if one.step is None else one.step, one.path)


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES)
def test_i8_kept_and_removed_are_all_and_each_has_a_reason(
    models: list[Candidate], rules: tuple[Rule, ...]
) -> None:
    verdicts = judged(models, *rules)
    event("some are removed" if verdicts.removing else "none is removed")
    assert sorted([*verdicts.kept, *verdicts.removing], key=_id) == list(verdicts)
    assert all(verdict.reasons and all(verdict.reasons) for verdict in verdicts)


def _id(verdict: Any) -> int:
    return int(verdict.candidate.model_id)


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES, st.integers(0, 100), st.data())
def test_i4_guards_hold_for_every_rule_set(
    models: list[Candidate], rules: tuple[Rule, ...], min_age: int, data: st.DataObject
) -> None:
    places = sorted({"", *FOLDERS, *(one.path for one in models)})
    held = dict.fromkeys(data.draw(st.lists(st.sampled_from(places), max_size=2)), "for a reason")
    for verdict in judged(models, *rules, min_age=min_age * HOUR, held=held).removing:
        one = verdict.candidate
        assert verdict.rule is not None
        assert one.state is State.PRESENT
        assert not any((one.resume, one.pinned, one.aliased, one.ensemble))
        assert max(one.modified_ns, one.seen_ns) <= NOW - min_age * HOUR
        assert one.format in REMOVABLE
        assert not any(f"{one.path}/".startswith(f"{place}/" if place else "") for place in held)


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES)
def test_the_newest_complete_of_every_family_is_always_kept_by_time_and_by_step(
    models: list[Candidate], rules: tuple[Rule, ...]
) -> None:
    gone = removed(models, *rules)
    for family in families(models):
        newest = max(family, key=_order)
        assert newest.model_id not in gone
        sure = [one for one in family if max(one.modified_ns, one.seen_ns) <= NOW]
        steps = [one.step for one in sure if one.step is not None]
        of_highest = {one.model_id for one in sure if steps and one.step == max(steps)}
        assert not of_highest or not of_highest <= gone
        assert not sure or not {one.model_id for one in sure} <= gone


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES)
def test_i6_a_verdict_is_upon_the_model_as_it_was_given_and_what_changes_stays(
    models: list[Candidate], rules: tuple[Rule, ...]
) -> None:
    verdicts = judged(models, *rules)
    assert [verdict.candidate for verdict in verdicts] == models
    changing = dict.fromkeys((one.candidate.path for one in verdicts.removing), "it is changing")
    assert removed(models, *rules, held=changing) == set()


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES, st.randoms(use_true_random=False))
def test_the_order_in_which_models_are_given_changes_nothing(
    models: list[Candidate], rules: tuple[Rule, ...], chance: Random
) -> None:
    before = list(judged(models, *rules))
    shuffled = models[:]
    chance.shuffle(shuffled)
    assert sorted(judged(shuffled, *rules), key=_id) == before


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES)
def test_a_second_run_finds_nothing_to_do(models: list[Candidate], rules: tuple[Rule, ...]) -> None:
    gone = removed(models, *rules)
    left = [one for one in models if one.model_id not in gone]
    assert removed(left, *rules) == set()


LARGER = {
    "max_to_keep": lambda value, more: value + more,
    "keep_within": lambda value, more: value + more * 3600,
    "keep_daily": lambda value, more: value + more,
    "keep_weekly": lambda value, more: value + more,
    "keep_monthly": lambda value, more: value + more,
    "keep_tags": lambda value, more: (*value, "champion", "stage")[: len(value) + more],
    "keep_best": lambda value, more: replace(value, count=value.count + more),
    # Steps that divide: the first at or after a multiple of the double is one of the single's.
    "keep_every_n_steps": lambda value, more: value // more if value % more == 0 else value,
}
"""Larger keeps. Of hours fewer are not more of the same: each choice moves the next."""


@settings(max_examples=EXAMPLES)
@given(MODELS, RULE, st.integers(1, 5), st.data())
def test_a_larger_keep_never_removes_more(
    models: list[Candidate], rule: Rule, more: int, data: st.DataObject
) -> None:
    asked = [key for key in LARGER if getattr(rule, key)]
    if asked:
        key = data.draw(st.sampled_from(asked))
        larger = replace(rule, **{key: LARGER[key](getattr(rule, key), more)})
        event(key)
        assert removed(models, larger) <= removed(models, rule)


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES, st.integers(0, 2), st.data())
def test_one_more_keep_never_removes_more(
    models: list[Candidate], rules: tuple[Rule, ...], number: int, data: st.DataObject
) -> None:
    if number < len(rules):
        key = data.draw(st.sampled_from([key for key in KEEPS if not getattr(rules[number], key)]))
        added = replace(rules[number], **{key: data.draw(KEEPS[key])})
        event(key)
        after = removed(models, *rules[:number], added, *rules[number + 1 :])
        assert after <= removed(models, *rules)


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES, st.integers(0, 100), st.integers(0, 100))
def test_a_longer_min_age_never_removes_more(
    models: list[Candidate], rules: tuple[Rule, ...], hours: int, more: int
) -> None:
    longer = removed(models, *rules, min_age=(hours + more) * HOUR)
    assert longer <= removed(models, *rules, min_age=hours * HOUR)


@settings(max_examples=EXAMPLES)
@given(MODELS, RULES)
def test_models_kept_in_columns_are_the_same_models(
    models: list[Candidate], rules: tuple[Rule, ...]
) -> None:
    columns = Candidates(["loss"])
    for one in models:
        columns.append(one)
    assert list(columns) == list(columns[:]) == models
    assert removed(columns, *rules) == removed(models, *rules)


def test_every_keep_there_is_is_tried_here() -> None:
    assert set(KEEPS) == {field.name for field in fields(Rule) if "keep" in field.name}


# TensorFlow's own max_to_keep and keep_checkpoint_every_n_hours, really run


@contextmanager
def _clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The clock that CheckpointManager reads, as TensorFlow's own tests set it: the times of its
    saves are these."""
    from tensorflow.python.checkpoint import checkpoint_management

    clock = SimpleNamespace(now=0.0)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_management, "time", SimpleNamespace(time=lambda: clock.now))
        yield clock


def _run(folder: str, k: int, h: float | None, made: float, times: Sequence[int],
         restarts: set[int], clock: SimpleNamespace) -> set[int]:  # fmt: skip
    """Save at these times (in s) by managers that are made anew before the saves of ``restarts``;
    returns the numbers of the checkpoints that are left. Save 1 is the first."""
    import tensorflow as tf

    checkpoint = tf.train.Checkpoint(value=tf.Variable(1.0))
    clock.now, manager = made, None
    for number, at in enumerate(times, 1):
        if manager is None or number in restarts:
            manager = tf.train.CheckpointManager(
                checkpoint, folder, max_to_keep=k, keep_checkpoint_every_n_hours=h
            )
        clock.now = float(at)
        manager.save(checkpoint_number=number)
    return {int(path.stem.rpartition("-")[2]) for path in Path(folder).glob("ckpt-*.index")}


def _saved(times: Sequence[int], left: set[int] | None = None) -> list[Candidate]:
    """The checkpoints of these times as candidates; only those left, if any are named."""
    told = ({}, None, Format.CHECKPOINT, None)
    return [
        _candidate(0, number, (FOLDERS[0], "ckpt"), told, 0)._replace(
            model_id=number,
            path=f"{FOLDERS[0]}/ckpt-{number}",
            modified_ns=at * 1_000_000_000,
            seen_ns=at * 1_000_000_000,
            # The manager's state file names the last one saved.
            resume=number == len(times),
        )
        for number, at in enumerate(times, 1)
        if left is None or number in left
    ]


START = 1_700_000_000
GAPS = st.lists(st.sampled_from([1, 600, 1800, 3599, 3600, 3601, 7200, 20_000]), min_size=4,
                max_size=14)  # fmt: skip
TRAININGS = st.tuples(
    GAPS.map(lambda gaps: [START + sum(gaps[: at + 1]) for at in range(len(gaps))]),
    st.integers(1, 4),
    st.none() | st.sampled_from([0.5, 1.0, 1.5, 2.0, 6.0]),
    st.sets(st.integers(2, 14), max_size=2),
)


@settings(max_examples=SAVES)
@given(TRAININGS)
def test_what_tensorflow_keeps_of_the_same_saves_is_what_the_same_rule_keeps(
    monkeypatch: pytest.MonkeyPatch, training: tuple[Any, ...]
) -> None:
    """Where the manager last preserved one long ago: nothing on the disk says when it was made, so
    for us the first checkpoint there is is the first preserved."""
    times, k, h, restarts = training
    with tempfile.TemporaryDirectory() as folder, _clock(monkeypatch) as clock:
        left = _run(folder, k, h, START - 100 * 3600, times, restarts, clock)
    rule = Rule(max_to_keep=k, keep_checkpoint_every_n_hours=h)
    kept = {one.candidate.model_id for one in judged(_saved(times), rule).kept}
    event(f"{len(left)} of {len(times)} left")
    assert kept == left


@settings(max_examples=SAVES)
@given(TRAININGS, st.sampled_from([0, 1, 1800, 5000]))
def test_nothing_that_tensorflow_leaves_is_removed_by_the_same_rule(
    monkeypatch: pytest.MonkeyPatch, training: tuple[Any, ...], before: int
) -> None:
    """Whenever the manager was made. Left alone, the rule keeps as many, or one more."""
    times, k, h, restarts = training
    with tempfile.TemporaryDirectory() as folder, _clock(monkeypatch) as clock:
        left = _run(folder, k, h, times[0] - before, times, restarts, clock)
    rule = Rule(max_to_keep=k, keep_checkpoint_every_n_hours=h)
    assert removed(_saved(times, left), rule) == set()
    assert len(judged(_saved(times), rule).kept) - len(left) in (0, 1)

"""What the rules and guards decide upon plain values; no folder, no clock."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.plan import Candidate, State, Verdict
from watcherd.retention import Rule, decide

HOUR = 3600 * 1_000_000_000
NOW = 1_000 * HOUR

CHECKPOINT = Candidate(
    model_id=1, path="1h/BTC/LSTM/ckpt-1", interval="1h", ticker="BTC", type="LSTM",
    format="checkpoint", family="1h/BTC/LSTM/ckpt-*", architecture=None, step=1,
    state=State.PRESENT, modified_ns=NOW - 100 * HOUR, seen_ns=NOW - 100 * HOUR, size_bytes=1000,
)  # fmt: skip


def checkpoint(step: int, age: float | None = None, **more: object) -> Candidate:
    """``age`` in hours; by default older steps are older."""
    at = NOW - int((100 - step if age is None else age) * HOUR)
    return replace(
        CHECKPOINT, **{"model_id": step, "path": f"1h/BTC/LSTM/ckpt-{step}", "step": step,
                       "modified_ns": at, "seen_ns": at, **more},
    )  # fmt: skip


def kept(*candidates: Candidate, rules: tuple[Rule, ...] = (Rule(2),), **more: int) -> set[int]:
    verdicts = decide(candidates, rules, now=NOW, **more)
    return {verdict.candidate.model_id for verdict in verdicts if verdict.keep}


def verdict_of(model_id: int, verdicts: tuple[Verdict, ...]) -> Verdict:
    return next(one for one in verdicts if one.candidate.model_id == model_id)


FIVE = tuple(checkpoint(step) for step in range(1, 6))


def test_the_newest_are_kept_and_the_rest_may_go() -> None:
    assert kept(*FIVE) == {4, 5}


def test_no_rule_at_all_keeps_everything() -> None:
    assert kept(*FIVE, rules=()) == {1, 2, 3, 4, 5}


def test_what_no_rule_matches_is_kept() -> None:
    assert kept(*FIVE, rules=(Rule(2, {"ticker": "ETH*"}),)) == {1, 2, 3, 4, 5}


def test_the_first_rule_that_matches_is_the_models_rule() -> None:
    rules = (Rule(4, {"ticker": "btc"}), Rule(1))
    assert kept(*FIVE, rules=rules) == {2, 3, 4, 5}


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"ticker": "b*"}, True),
        ({"type": "lstm"}, True),
        ({"interval": "1h"}, True),
        ({"interval": "1H"}, False),
        ({"format": "h5"}, False),
        ({"ticker": "*", "type": "GRU"}, False),
    ],
)
def test_globs_ignore_case_except_in_intervals(match: dict[str, str], fits: bool) -> None:
    assert Rule(1, match).matches(CHECKPOINT) is fits


def test_a_minute_is_no_month() -> None:
    month = replace(CHECKPOINT, interval="1M")
    assert not Rule(1, {"interval": "1m"}).matches(month)


def test_time_orders_a_family_and_not_the_step() -> None:
    """A training run restarted from step 0 beside old higher steps: its new ones are kept."""
    old = [checkpoint(step, age=50 - step / 10) for step in (90, 95, 99)]
    new = [checkpoint(step, age=10 - step / 10) for step in (1, 2, 3)]
    assert kept(*old, *new) == {2, 3, 99}, "the two newest, and the highest step of all"


@pytest.mark.parametrize(
    ("guard", "change"),
    [
        ("named by a state file: a trainer resumes from it", {"resume": True}),
        ("pinned", {"pinned": True}),
        ("has an alias", {"aliased": True}),
        ("dated in the future", {"modified_ns": NOW + HOUR}),
        ("it is incomplete", {"state": State.INCOMPLETE}),
        ("it is unreadable", {"state": State.UNREADABLE}),
        ("younger than min_age", {"seen_ns": NOW - HOUR // 2}),
    ],
)
def test_a_guard_keeps_what_no_rule_keeps_and_says_so(
    guard: str, change: dict[str, object]
) -> None:
    assert 1 not in kept(*FIVE, min_age=HOUR)
    guarded = (checkpoint(1, **change), *FIVE[1:])
    verdict = verdict_of(1, decide(guarded, (Rule(2),), now=NOW, min_age=HOUR))
    assert verdict.keep
    assert any(guard in reason for reason in verdict.reasons)


def test_an_incomplete_newest_does_not_take_the_place_of_a_complete_one() -> None:
    broken = checkpoint(6, state=State.INCOMPLETE)
    assert kept(*FIVE, broken) == {4, 5, 6}


def test_families_are_judged_apart() -> None:
    other = [checkpoint(step, family="1h/BTC/LSTM/other-*", model_id=10 + step) for step in (1, 2)]
    assert kept(*FIVE, *other) == {4, 5, 11, 12}


def test_reasons_tell_rank_and_limit() -> None:
    verdicts = decide(FIVE, (Rule(2),), now=NOW)
    assert verdict_of(1, verdicts).reasons == ("max_to_keep 5 of 2",)
    assert verdict_of(4, verdicts).reasons == ("max_to_keep 2 of 2",)
    assert "the newest complete of its family" in verdict_of(5, verdicts).reasons


# -- properties ------------------------------------------------------------------------------------

CANDIDATES = st.lists(
    st.builds(
        checkpoint,
        st.integers(0, 50),
        st.floats(-1, 200),
        state=st.sampled_from([State.PRESENT] * 4 + [State.INCOMPLETE, State.UNREADABLE]),
        family=st.sampled_from(["a-*", "b-*"]),
        resume=st.booleans(),
        pinned=st.booleans(),
        ticker=st.sampled_from(["BTC", "ETH", None]),
    ),
    max_size=25,
).map(lambda found: [replace(one, model_id=at, path=f"{at}") for at, one in enumerate(found)])
RULES = st.lists(
    st.builds(Rule, st.integers(1, 5), st.sampled_from([{}, {"ticker": "B*"}, {"ticker": "*"}])),
    max_size=3,
).map(tuple)


@given(CANDIDATES, RULES)
def test_i8_kept_and_removed_are_all_and_each_has_a_reason(
    candidates: list[Candidate], rules: tuple[Rule, ...]
) -> None:
    verdicts = decide(candidates, rules, now=NOW)
    assert {one.candidate.model_id for one in verdicts} == {one.model_id for one in candidates}
    assert len(verdicts) == len(candidates)
    assert all(verdict.reasons for verdict in verdicts)


@given(CANDIDATES, RULES)
def test_i4_guards_hold_for_every_rule_set(
    candidates: list[Candidate], rules: tuple[Rule, ...]
) -> None:
    verdicts = decide(candidates, rules, now=NOW, min_age=HOUR)
    for one in (verdict.candidate for verdict in verdicts if not verdict.keep):
        assert one.state is State.PRESENT
        assert not (one.resume)
        assert not (one.pinned)
        assert not (one.aliased)
        assert max(one.modified_ns, one.seen_ns) <= NOW - HOUR
    for family in ("a-*", "b-*"):
        complete = [
            one for one in candidates if one.family == family and one.state is State.PRESENT
        ]
        if complete:
            newest = max(complete, key=lambda one: (one.modified_ns, one.step, one.path))
            highest = max(one.step for one in complete)
            left = [v.candidate for v in verdicts if v.keep]
            assert newest in left
            assert any(one in left for one in complete if one.step == highest)


@given(CANDIDATES, st.integers(1, 5), st.integers(0, 5))
def test_a_larger_max_to_keep_never_removes_more(
    candidates: list[Candidate], few: int, more: int
) -> None:
    assert kept(*candidates, rules=(Rule(few),)) <= kept(*candidates, rules=(Rule(few + more),))


@given(CANDIDATES, RULES, st.randoms(use_true_random=False))
def test_the_order_in_which_models_are_given_changes_nothing(
    candidates: list[Candidate], rules: tuple[Rule, ...], chance: object
) -> None:
    before = decide(candidates, rules, now=NOW)
    chance.shuffle(candidates)  # type: ignore[attr-defined]  # hypothesis types it as object
    assert set(decide(candidates, rules, now=NOW)) == set(before)

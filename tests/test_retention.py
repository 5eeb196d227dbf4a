"""What the rules and guards decide upon plain values; no folder, no clock."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path

import pytest

from watcherd.config import load
from watcherd.plan import Candidate, Format, State, Verdict
from watcherd.retention import REMOVABLE, Best, Rule, decide, metrics_of
from watcherd.wiring import rules_of

HOUR = 3600 * 1_000_000_000
DAY = 24 * HOUR
NOW = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
"""A Friday, at noon."""
FOLDER = "1h/BTC/LSTM"

CHECKPOINT = Candidate(
    model_id=1, path=f"{FOLDER}/ckpt-1", interval="1h", ticker="BTC", type="LSTM",
    format="checkpoint", family=f"{FOLDER}/ckpt-*", architecture=None, step=1,
    state=State.PRESENT, modified_ns=NOW, seen_ns=NOW, size_bytes=1000,
)  # fmt: skip


def checkpoint(number: int, age: float | None = None, **more: object) -> Candidate:
    """``age`` in hours; by default lower numbers are older. The number is its step, too."""
    at = NOW - round((100 - number if age is None else age) * HOUR)
    path = f"{FOLDER}/ckpt-{number}"
    one = CHECKPOINT._replace(model_id=number, path=path, step=number, modified_ns=at, seen_ns=at)
    return one._replace(**more)


def decided(candidates: Sequence[Candidate], *rules: Rule, **more: object) -> dict[int, Verdict]:
    """model_id -> verdict."""
    verdicts = decide(candidates, rules, now=NOW, **more)  # type: ignore[arg-type]  # of any kind
    return {verdict.candidate.model_id: verdict for verdict in verdicts}


def kept(candidates: Sequence[Candidate], *rules: Rule, **more: object) -> set[int]:
    found = decided(candidates, *rules, **more)
    return {model_id for model_id, verdict in found.items() if verdict.keep}


def why(model_id: int, candidates: Sequence[Candidate], *rules: Rule, **more: object) -> list[str]:
    return list(decided(candidates, *rules, **more)[model_id].reasons)


FIVE = tuple(checkpoint(step) for step in range(1, 6))
TWO = Rule(max_to_keep=2)
NEVER = Rule(keep_tags=("nobody has it",))
"""Keeps nothing of what is here: only guards do."""


# Which rule


def test_no_rule_at_all_keeps_everything() -> None:
    assert kept(FIVE) == {1, 2, 3, 4, 5}
    assert why(1, FIVE) == ["no rule matches"]


def test_what_no_rule_matches_is_kept() -> None:
    assert kept(FIVE, Rule(2, {"ticker": "ETH*"})) == {1, 2, 3, 4, 5}


def test_the_first_rule_that_matches_is_the_models_rule() -> None:
    found = decided(FIVE, Rule(1, {"ticker": "eth"}), Rule(4, {"ticker": "btc"}), Rule(1))
    assert {one for one, verdict in found.items() if verdict.keep} == {2, 3, 4, 5}
    assert {verdict.rule for verdict in found.values()} == {1}
    assert decided(FIVE)[1].rule is None


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"ticker": "b*"}, True),
        ({"type": "lstm"}, True),
        ({"format": "CHECK*"}, True),
        ({"family": "*/ckpt-[*]"}, True),
        ({"interval": "1h"}, True),
        ({"interval": "1H"}, False),
        ({"format": "h5"}, False),
        ({"ticker": "*", "type": "GRU"}, False),
    ],
)
def test_globs_ignore_case_except_in_intervals(match: dict[str, str], fits: bool) -> None:
    assert Rule(1, match).matches(CHECKPOINT) is fits


def test_a_minute_is_no_month() -> None:
    assert not Rule(1, {"interval": "1m"}).matches(CHECKPOINT._replace(interval="1M"))


def test_what_has_no_place_fits_only_the_glob_that_fits_all() -> None:
    unplaced = CHECKPOINT._replace(ticker=None)
    assert Rule(1, {"ticker": "*"}).matches(unplaced)
    assert not Rule(1, {"ticker": "?*"}).matches(unplaced)


def test_a_rule_that_keeps_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="a rule keeps something: one of max_to_keep, "):
        Rule(match={"ticker": "BTC"})


# What is counted together, and in which order


def test_families_are_judged_apart() -> None:
    other = [
        checkpoint(step, path=f"{FOLDER}/b-{step}", family=f"{FOLDER}/b-*") for step in (11, 12)
    ]
    assert kept([*FIVE, *other], TWO) == {4, 5, 11, 12}


@pytest.mark.parametrize("field", ["format", "architecture"])
def test_of_one_name_but_another_format_or_architecture_is_another_family(field: str) -> None:
    other = [checkpoint(step, **{field: "h5"}) for step in (11, 12)]
    assert kept([*FIVE, *other], Rule(max_to_keep=1)) >= {5, 12}
    assert 11 not in kept([*FIVE, *other], Rule(max_to_keep=1))


def test_per_folder_counts_all_families_of_a_folder_but_not_of_the_folders_below() -> None:
    both = [
        *(checkpoint(step, family=f"{FOLDER}/a-*", path=f"{FOLDER}/a-{step}") for step in (1, 3)),
        *(checkpoint(step, family=f"{FOLDER}/b-*", path=f"{FOLDER}/b-{step}") for step in (2, 4)),
        *(checkpoint(step, family="x/c-*", path=f"{FOLDER}/x/c-{step}") for step in (5, 6)),
    ]  # fmt: skip
    assert kept(both, Rule(1, per="family")) == {3, 4, 6}
    assert why(3, both, Rule(2, per="folder"))[0] == "max_to_keep 2 of 2"
    assert why(2, both, Rule(2, per="folder")) == ["max_to_keep 3 of 2"]
    assert why(5, both, Rule(2, per="folder")) == ["max_to_keep 2 of 2"]


def test_a_rule_counts_only_its_own_models() -> None:
    """In one folder, what an earlier rule took does not stand among a later one's newest."""
    files = [checkpoint(step, format="h5", path=f"{FOLDER}/f-{step}.h5") for step in (8, 9)]
    rules = (Rule(1, {"format": "h5"}, per="folder"), Rule(2, per="folder"))
    assert kept([*FIVE, *files], *rules) == {4, 5, 9}


def test_time_orders_a_family_and_not_the_step() -> None:
    """A training run restarted from step 0 beside old higher steps: its new ones are kept."""
    old = [checkpoint(step, age=50 - step / 10) for step in (90, 95, 99)]
    new = [checkpoint(step, age=10 - step / 10) for step in (1, 2, 3)]
    assert kept([*old, *new], TWO) == {2, 3, 99}, "the two newest, and the highest step of all"


@pytest.mark.parametrize(
    ("what", "one", "other"),
    [
        ("step", checkpoint(2, age=9), checkpoint(1, age=9)),
        ("path", checkpoint(1, age=9, path=f"{FOLDER}/x"), checkpoint(2, age=9, step=1)),
        ("path where there is no step",
         checkpoint(1, age=9, path=f"{FOLDER}/b", step=None),
         checkpoint(2, age=9, path=f"{FOLDER}/a", step=None)),
    ],
)  # fmt: skip
def test_of_one_time_the_newer_is_told_by(what: str, one: Candidate, other: Candidate) -> None:
    assert "max_to_keep 1 of 2" in why(one.model_id, [one, other], TWO)
    assert "max_to_keep 2 of 2" in why(other.model_id, [other, one], TWO)


def test_verdicts_come_in_the_order_of_their_candidates_and_can_be_sliced() -> None:
    verdicts = decide(FIVE, [TWO], now=NOW)
    assert [one.candidate for one in verdicts] == list(FIVE)
    assert [one.candidate.model_id for one in verdicts.removing] == [1, 2, 3]
    assert [one.candidate.model_id for one in verdicts.kept] == [4, 5]
    assert verdicts.removing[0] == verdicts[0]
    assert list(verdicts[1:][:2]) == [verdicts[1], verdicts[2]]


# Each keep: what it is given -> which of it is kept, and what is said


def hours(*ages: float) -> list[Candidate]:
    """One for each age in hours, the oldest first; the newest is held by its guards anyway."""
    return [checkpoint(number, age) for number, age in enumerate(ages, 1)]


def on(*times: str) -> list[Candidate]:
    """One for each time of November 2026, as ``18T23:59``."""
    ages = (NOW / 1e9 - datetime.fromisoformat(f"2026-11-{at}+00:00").timestamp() for at in times)
    return hours(*(age / 3600 for age in ages))


def steps(*found: int | None) -> list[Candidate]:
    return [checkpoint(number, step=step) for number, step in enumerate(found, 1)]


def tagged(*found: Mapping[str, str | None]) -> list[Candidate]:
    return [checkpoint(number, tags=tags) for number, tags in enumerate(found, 1)]


def scored(*values: float | None) -> list[Candidate]:
    """The last has no result, and is kept for being the newest."""
    return [
        checkpoint(number, results={} if value is None else {"val_loss": value})
        for number, value in enumerate(values, 1)
    ]


EVERY_5 = Rule(max_to_keep=2, keep_checkpoint_every_n_hours=5)
BEST = Rule(keep_best=Best("val_loss", "min"))
KEEPS = {
    "max_to_keep: the newest":
        (Rule(3), hours(5, 4, 3, 2, 1), {3, 4, 5}),
    "every 5 hours, against the last one preserved, and not by the clock":
        (EVERY_5, hours(20, 18, 15, 14, 11, 10, 2, 1), {1, 3, 6, 7, 8}),
    "every 5 hours: what stays is preserved again":
        (EVERY_5, hours(20, 15, 10, 2, 1), {1, 2, 3, 4, 5}),
    "every 5 hours: what max_to_keep still holds preserves nothing":
        (EVERY_5, hours(20, 12, 6, 5), {1, 3, 4, 2}),
    "every 5 hours without max_to_keep: no one is held":
        (Rule(keep_checkpoint_every_n_hours=5), hours(20, 18, 15, 14, 11, 10), {1, 3, 6}),
    "half an hour is a number of hours":
        (Rule(keep_checkpoint_every_n_hours=0.5), hours(3, 2.6, 2.5, 2.2, 2), {1, 3, 5}),
    "every 1000 steps: the first at or after each multiple":
        (Rule(keep_every_n_steps=1000), steps(0, 400, 1000, 1100, 2300, 2900, 3200), {1, 3, 5, 7}),
    "every 1000 steps: of equal steps the newest":
        (Rule(keep_every_n_steps=1000), steps(1000, 1000, 1500), {2, 3}),
    "every 1000 steps: a restarted training counts as its steps say":
        (Rule(keep_every_n_steps=1000), steps(1000, 2000, 900, 1900), {1, 2, 3, 4}),
    "every 1000 steps: nothing is kept for a step that is not there":
        (Rule(keep_every_n_steps=1000), steps(None, None), {2}),
    "within a day: younger by file time, to the nanosecond":
        (Rule(keep_within=86_400), hours(25, 24, 24 - 1 / HOUR, 1), {3, 4}),
    "daily: the newest of each day in UTC":
        (Rule(keep_daily=3), on("17T12:00", "18T00:00", "18T23:59", "19T00:00", "20T09:00"),
         {3, 4, 5}),
    "daily: days without any are not counted":
        (Rule(keep_daily=2), on("01T01:00", "02T01:00", "20T09:00"), {2, 3}),
    "weekly: from Monday on":
        (Rule(keep_weekly=3), on("01T12:00", "08T23:00", "09T00:00", "15T23:59", "16T00:00"),
         {2, 4, 5}),
    "monthly":
        (Rule(keep_monthly=2), hours(24 * 51, 24 * 21, 24 * 19, 1), {2, 4}),
    "tags: by key, whatever the value":
        (Rule(keep_tags=("best",)), tagged({"best": None}, {"best": "v2"}, {"x": "best"}, {}),
         {1, 2, 4}),
    "tags: by key and value":
        (Rule(keep_tags=("a=1", "b=x=y")),
         tagged({"a": "1"}, {"a": "2"}, {"a": None}, {"b": "x=y"}, {}),
         {1, 4, 5}),
    "tags: no value is not the word None":
        (Rule(keep_tags=("a=None",)), tagged({"a": None}, {"a": "None"}, {}), {2, 3}),
    "tags: case matters":
        (Rule(keep_tags=("Champion",)), tagged({"champion": None}, {}), {2}),
    "best: the least":
        (Rule(keep_best=Best("val_loss", "min", 2)), scored(0.3, 0.1, 0.2, 0.4, None), {2, 3, 5}),
    "best: the greatest":
        (Rule(keep_best=Best("val_loss", "max", 2)), scored(0.3, 0.1, 0.2, 0.4, None), {1, 4, 5}),
    "best: of equal ones the newer":
        (Rule(keep_best=Best("val_loss", "max")), scored(0.5, 0.5, 0.4, None), {2, 4}),
    "best: NaN never wins, whatever is better":
        (Rule(keep_best=Best("val_loss", "min")), scored(nan, 0.5, 0.6, None), {2, 4}),
    "best: nor where there is nothing else":
        (Rule(keep_best=Best("val_loss", "max")), scored(nan, nan, None), {3}),
    "best: infinity is a value":
        (Rule(keep_best=Best("val_loss", "max")), scored(1.0, inf, -inf, None), {2, 4}),
    "best: what lacks the metric is kept":
        (Rule(keep_best=Best("val_loss", "min")), scored(0.5, None, 0.4, None), {2, 3, 4}),
    "the keeps of a rule are OR-ed":
        (Rule(max_to_keep=1, keep_every_n_steps=3, keep_tags=("t",)),
         [checkpoint(1, tags={"t": None}), *(checkpoint(step) for step in range(2, 8))],
         {1, 3, 6, 7}),
}  # fmt: skip


@pytest.mark.parametrize("name", KEEPS)
def test_a_keep_keeps(name: str) -> None:
    rule, candidates, expected = KEEPS[name]
    newest = candidates[-1].model_id
    highest = max(candidates, key=lambda one: (-1 if one.step is None else one.step, one.model_id))
    assert kept(candidates, rule) == expected | {newest, highest.model_id}


@pytest.mark.parametrize(
    ("rule", "candidates", "said"),
    [
        (Rule(2), hours(3, 2, 1), ["max_to_keep 3 of 2"]),
        (Rule(3), hours(3, 2, 1), ["max_to_keep 3 of 3"]),
        (EVERY_5, hours(9, 2, 1), ["keep_checkpoint_every_n_hours 5"]),
        (EVERY_5, hours(9, 1), ["max_to_keep 2 of 2"]),
        (EVERY_5, [*hours(3, 2, 1), checkpoint(9, 4)], ["max_to_keep 3 of 2",
         "keep_checkpoint_every_n_hours 5: too soon after the last one preserved"]),
        (Rule(keep_every_n_steps=500), steps(500, 600), ["keep_every_n_steps 500"]),
        (Rule(keep_every_n_steps=500), steps(7, 6, 8),
         ["keep_every_n_steps 500: between two of them"]),
        (Rule(keep_every_n_steps=500), steps(None, 600),
         ["keep_every_n_steps 500: it has no step"]),
        (Rule(keep_within=86_400), hours(2, 1), ["keep_within 1d"]),
        (Rule(keep_within=5400), hours(2, 1), ["keep_within 90m: older"]),
        (Rule(keep_within=0.5), hours(2, 1), ["keep_within 0.5s: older"]),
        (Rule(keep_daily=7), on("19T01:00", "20T01:00"), ["keep_daily: newest of 2026-11-19"]),
        (Rule(keep_daily=7), on("20T00:30", "20T01:00"),
         ["keep_daily: not the newest of 2026-11-20"]),
        (Rule(keep_daily=1), on("19T01:00", "20T01:00"),
         ["keep_daily: 2026-11-19 is not among the last 1"]),
        (Rule(keep_weekly=4), on("12T01:00", "20T01:00"), ["keep_weekly: newest of 2026-W46"]),
        (Rule(keep_monthly=4), hours(24 * 30, 1), ["keep_monthly: newest of 2026-10"]),
        (Rule(keep_tags=("a", "b")), tagged({"b": "1"}, {}), ["keep_tags b"]),
        (Rule(keep_tags=("a", "b")), tagged({}, {}), ["keep_tags: none of a, b"]),
        (BEST, scored(0.1, 0.2), ["keep_best val_loss 1 of 1"]),
        (BEST, scored(0.2, 0.1), ["keep_best val_loss 2 of 1"]),
        (BEST, scored(nan, 0.1), ["keep_best val_loss: its result is NaN"]),
        (BEST, scored(None, 0.1), ["keep_best val_loss: it has no such result yet"]),
    ],
)  # fmt: skip
def test_of_the_first_model_is_said(
    rule: Rule, candidates: list[Candidate], said: list[str]
) -> None:
    assert why(1, candidates, rule) == said


def test_a_model_that_goes_hears_of_every_keep_of_its_rule_and_one_that_stays_of_those_it_has() -> (
    None
):
    rule = Rule(max_to_keep=1, keep_within=86_400, keep_daily=1)
    some = on("19T01:00", "20T02:00", "20T03:00")
    assert why(1, some, rule) == [
        "max_to_keep 3 of 1",
        "keep_within 1d: older",
        "keep_daily: 2026-11-19 is not among the last 1",
    ]
    assert why(2, some, rule) == ["keep_within 1d"]


def test_a_decision_needs_the_results_of_the_metrics_that_its_rules_name() -> None:
    rules = [Rule(1), Rule(keep_best=Best("a", "min")), Rule(keep_best=Best("b", "max"))]
    assert metrics_of(rules) == {"a", "b"}


# The worked examples of the documentation


DOCUMENT = (Path(__file__).parents[1] / "docs" / "retention.md").read_text(encoding="utf-8")


def documented(*columns: str) -> list[list[str]]:
    """The rows of a table, cell by cell."""
    header = rf"^\| {re.escape(' | '.join(columns))}.*\n\|[-|]+\n((?:\|.*\n)+)"
    (table,) = re.findall(header, DOCUMENT, re.MULTILINE)
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]


def example(name: str, saved: str, step: str, loss: str, tags: str) -> Candidate:
    at = int(datetime.fromisoformat(saved[4:] + "+00:00").timestamp()) * 1_000_000_000
    key, _, value = tags.strip("`").partition("=")
    return checkpoint(
        int(name.strip("`")[3:]),
        step=int(step),
        modified_ns=at,
        seen_ns=at,
        results={"val_loss": float(loss)} if loss else {},
        tags={key: value or None} if key else {},
    )


@pytest.mark.parametrize(
    ("says", "keeps"), [row[:2] for row in documented("the rule says", "and keeps")]
)
def test_the_documented_example_is_what_a_rule_keeps(tmp_path: Path, says: str, keeps: str) -> None:
    file = tmp_path / "watcherd.toml"
    lines = "\n".join(re.findall(r"`([^`]+)`", says))
    file.write_text(f"[[retention.rule]]\n{lines}\n")
    rules = rules_of(load(config=file, root=tmp_path, environ={}))
    training = [example(*row) for row in documented("checkpoint", "saved (UTC)")]
    found = {f"`cp-{one}`" for one in kept(training, *rules)}
    assert found == {*keeps.split(), "`cp-7`"}


# Guards: no rule set turns them off


GUARDS = {
    "named by a state file: a trainer resumes from it": {"resume": True},
    "pinned": {"pinned": True},
    "has an alias": {"aliased": True},
    "in an ensemble, as a member or its source": {"ensemble": True},
    "it is incomplete": {"state": State.INCOMPLETE},
    "it is unreadable": {"state": State.UNREADABLE},
    "dated in the future": {"modified_ns": NOW + 1},
    "younger than min_age": {"seen_ns": NOW - HOUR + 1},
    "this version removes no gadget": {"format": "gadget"},
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_keeps_what_no_rule_keeps_and_says_so(guard: str) -> None:
    assert 1 not in kept(FIVE, NEVER, min_age=HOUR)
    guarded = [checkpoint(1)._replace(**GUARDS[guard]), *FIVE[1:]]
    assert guard in why(1, guarded, NEVER, min_age=HOUR)
    assert decided(guarded, NEVER, min_age=HOUR)[1].keep


def test_a_model_seen_first_in_the_future_is_from_there_whatever_its_file_says() -> None:
    assert "dated in the future" in why(1, [checkpoint(1, seen_ns=NOW + 1), *FIVE[1:]], NEVER)


def test_min_age_ends_to_the_nanosecond() -> None:
    aged = [checkpoint(1, age=1), checkpoint(2, age=0)]
    assert 1 not in kept(aged, NEVER, min_age=HOUR)
    assert 1 in kept(aged, NEVER, min_age=HOUR + 1)


def test_what_the_world_outside_says_must_stay_does() -> None:
    held = {f"{FOLDER}/ckpt-1": "open in process 7", f"{FOLDER}/ckpt": "of no one here"}
    assert why(1, FIVE, NEVER, held=held) == ["open in process 7"]
    assert kept(FIVE, NEVER, held=held) == {1, 5}


@pytest.mark.parametrize("place", ["", "1h", FOLDER])
def test_what_holds_a_folder_holds_all_below_it(place: str) -> None:
    assert kept(FIVE, NEVER, held={place: "a blind spot"}) == {1, 2, 3, 4, 5}


def test_an_incomplete_newest_does_not_take_the_place_of_a_complete_one() -> None:
    broken = checkpoint(6, state=State.INCOMPLETE)
    assert kept([*FIVE, broken], TWO) == {4, 5, 6}
    assert "the newest complete of its family" in why(5, [*FIVE, broken], TWO)


def test_a_clock_that_was_set_back_costs_no_new_checkpoint_its_place() -> None:
    """Yesterday's lie in the future now; those of today are counted among themselves."""
    ahead = [checkpoint(step, modified_ns=NOW + step * HOUR, seen_ns=NOW) for step in (91, 92)]
    assert kept([*FIVE, *ahead], TWO) == {4, 5, 91, 92}


def test_what_a_guard_keeps_still_counts_among_the_newest() -> None:
    pinned = checkpoint(5, pinned=True)
    assert kept([*FIVE[:4], pinned], TWO) == {4, 5}


def test_formats_whose_way_to_the_trash_is_not_proven_are_never_removed() -> None:
    assert {Format.H5, Format.WEIGHTS_H5, Format.KERAS, Format.CHECKPOINT} <= REMOVABLE
    for format in set(Format) - REMOVABLE:
        some = [one._replace(format=format) for one in FIVE]
        assert kept(some, NEVER) == {1, 2, 3, 4, 5}
        assert why(1, some, NEVER) == [f"this version removes no {format}"]


def test_the_newest_and_the_highest_step_hear_of_both() -> None:
    assert why(5, FIVE, NEVER) == [
        "the newest complete of its family",
        "the highest step of its family",
    ]

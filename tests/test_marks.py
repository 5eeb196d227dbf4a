"""What people say of a model: pins, tags, aliases, notes; whatever becomes of its files.

I9: a model's path, state and marks follow from its history alone.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.conftest import VARIANTS, Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.test_cli import call
from tests.test_cycle_properties import (
    EXAMPLES,
    empty_registry,  # noqa: F401  a fixture
    in_new_root,  # noqa: F401  a fixture
)
from watcherd.errors import NoSuchModel, Refused, visible
from watcherd.plan import Verb
from watcherd.reconciler import Reconciler
from watcherd.registry import By, Filter, Registry
from watcherd.registry import marks as books
from watcherd.registry.intents import Removal, Terms, intend
from watcherd.registry.results import record
from watcherd.scope import Cause

ADA = By("ada@trainer1", Cause.REQUEST)
NOW = 1_790_000_000 * 1_000_000_000
EVERY = Filter(states=())
LSTM, GRU = "1h/BTC/LSTM", "1h/BTC/GRU"
ODD = [
    'it\'s "quoted"',
    "'); DROP TABLE tag; --",
    "\x1b[31mred\x1b[0m",
    "two\nlines\ttab\x07bell",
    "비트코인 모델",
    "[bold]no markup[/bold]",
    "%s {0} \\",
]


@pytest.fixture
def reconciler(root: Path, saved: Saved) -> Iterator[Reconciler]:
    """With four models: two in one place, one in another, one unplaced. Ids 1 to 4, by path."""
    for number, path in enumerate((f"{GRU}/c.h5", f"{LSTM}/a.h5", f"{LSTM}/b.h5", "loose/d.h5")):
        saved.write_h5(root / path, number)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        assert [row["path"] for row in rows(root, "SELECT path FROM model ORDER BY path")] == [
            f"{GRU}/c.h5", f"{LSTM}/a.h5", f"{LSTM}/b.h5", "loose/d.h5",
        ]  # fmt: skip
        yield reconciler


@pytest.fixture
def registry(reconciler: Reconciler) -> Registry:
    return reconciler.registry


@pytest.fixture
def ids(registry: Registry) -> dict[str, int]:
    """Name -> model_id."""
    return {Path(row["path"]).stem: row["model_id"] for row in registry.models(EVERY)}


def lines(registry: Registry) -> list[tuple[str, str, Any]]:
    """Verb, actor and details of what was said, oldest first."""
    return [
        (row["verb"], row["actor"], row["details"])
        for row in registry.history()
        if row["actor"] == ADA.actor
    ]


Say = Callable[[Registry, int], bool]


def say(function: Callable[..., bool], *words: object) -> Say:
    return lambda registry, model_id: function(registry, model_id, *words, ADA, NOW)


MARKS: dict[str, tuple[list[Say], Say, str, dict[str, object] | None]] = {
    "pin": ([], say(books.pin), "pinned", None),
    "unpin": ([say(books.pin)], say(books.unpin), "unpinned", None),
    "a tag": (
        [], say(books.set_tag, "champion", None),
        "tagged", {"key": "champion", "value": None, "source": "person"},
    ),
    "a tag with a value": (
        [say(books.set_tag, "run", "1")], say(books.set_tag, "run", "2"),
        "tagged", {"key": "run", "value": "2", "source": "person"},
    ),
    "untag": (
        [say(books.set_tag, "run", "1")], say(books.drop_tag, "run"),
        "untagged", {"key": "run", "source": "person"},
    ),
    "alias": ([], say(books.set_alias, "best"), "aliased", {"alias": "best"}),
    "unalias": (
        [say(books.set_alias, "best")], say(books.drop_alias, "best"),
        "unaliased", {"alias": "best"},
    ),
    "note": ([], say(books.note, "good"), "noted", {"note": "good"}),
    "another note": ([say(books.note, "good")], say(books.note, "bad"), "noted", {"note": "bad"}),
    "no note": ([say(books.note, "good")], say(books.note, ""), "noted", {"note": None}),
}  # fmt: skip


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_is_one_change_with_one_line_and_said_again_it_is_none(
    registry: Registry, ids: Mapping[str, int], mark: str
) -> None:
    before, act, verb, details = MARKS[mark]
    for other in before:
        assert other(registry, ids["a"])
    told, revision = lines(registry), _row(registry, ids["a"])["revision"]
    assert act(registry, ids["a"])
    assert lines(registry) == [*told, (verb, ADA.actor, details)]
    assert _row(registry, ids["a"])["revision"] == revision + 1
    assert not act(registry, ids["a"])
    assert len(lines(registry)) == len(told) + 1
    assert _row(registry, ids["a"])["revision"] == revision + 1


def test_what_was_decided_before_a_mark_is_not_done(
    registry: Registry, ids: Mapping[str, int]
) -> None:
    one = _row(registry, ids["a"])
    books.set_tag(registry, ids["a"], "champion", None, ADA, NOW)
    removal = Removal(one["model_id"], one["path"], one["revision"], ("max_to_keep 2 of 1",))
    terms = Terms(Verb.PRUNED, NOW, NOW, ADA)
    assert intend(registry, {".watcherd/trash/x": removal}, terms) == {}
    assert intend(registry, {".watcherd/trash/x": removal._replace(revision=2)}, terms)


def test_what_the_registry_does_not_know_cannot_be_marked(registry: Registry) -> None:
    with pytest.raises(NoSuchModel, match="99"):
        books.pin(registry, 99, ADA, NOW)


# -- aliases ---------------------------------------------------------------------------------------


def test_an_alias_is_unique_within_interval_ticker_and_type(
    registry: Registry, ids: Mapping[str, int]
) -> None:
    books.set_alias(registry, ids["a"], "champion", ADA, NOW)
    with pytest.raises(Refused, match=f"model {ids['a']} already: {LSTM}/a.h5") as refused:
        books.set_alias(registry, ids["b"], "champion", ADA, NOW)
    assert "watcherd unalias" in refused.value.hint
    assert books.set_alias(registry, ids["b"], "second", ADA, NOW)
    assert books.set_alias(registry, ids["c"], "champion", ADA, NOW), "another type"
    assert books.set_alias(registry, ids["d"], "champion", ADA, NOW), "without placement"


def test_without_placement_an_alias_is_unique_within_its_folder(
    root: Path, saved: Saved, reconciler: Reconciler, ids: Mapping[str, int]
) -> None:
    saved.write_h5(root / "loose/e.h5")
    saved.write_h5(root / "other/f.h5")
    reconcile(reconciler)
    other = {Path(row["path"]).stem: row["model_id"] for row in reconciler.registry.models(EVERY)}
    books.set_alias(reconciler.registry, ids["d"], "x", ADA, NOW)
    with pytest.raises(Refused, match=r"loose/d\.h5"):
        books.set_alias(reconciler.registry, other["e"], "x", ADA, NOW)
    assert books.set_alias(reconciler.registry, other["f"], "x", ADA, NOW)


def test_a_model_that_is_gone_keeps_its_alias_until_it_is_taken_away(
    root: Path, reconciler: Reconciler, ids: Mapping[str, int]
) -> None:
    books.set_alias(reconciler.registry, ids["a"], "champion", ADA, NOW)
    (root / LSTM / "a.h5").unlink()
    reconcile(reconciler)
    with pytest.raises(Refused, match="missing"):
        books.set_alias(reconciler.registry, ids["b"], "champion", ADA, NOW)
    books.drop_alias(reconciler.registry, ids["a"], "champion", ADA, NOW)
    assert books.set_alias(reconciler.registry, ids["b"], "champion", ADA, NOW)


# -- what becomes of the files ---------------------------------------------------------------------


def test_marks_survive_a_move_a_disappearance_and_a_return(
    root: Path, reconciler: Reconciler, ids: Mapping[str, int]
) -> None:
    registry = reconciler.registry
    for mark in ("pin", "a tag", "alias", "note"):
        MARKS[mark][1](registry, ids["a"])
    said = marks_of(registry)[ids["a"]][2:]
    place, elsewhere = root / LSTM / "a.h5", root / GRU / "a.h5"
    place.rename(elsewhere)
    reconcile(reconciler)
    assert marks_of(registry)[ids["a"]][2:] == said
    content = elsewhere.read_bytes()
    elsewhere.unlink()
    reconcile(reconciler)
    assert marks_of(registry)[ids["a"]][2:] == said
    elsewhere.write_bytes(content)
    reconcile(reconciler)
    assert marks_of(registry)[ids["a"]][1:] == ("present", *said)


# -- text of any kind ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ODD)
def test_text_of_any_kind_is_stored_literally_and_never_moves_the_cursor(
    root: Path, registry: Registry, ids: Mapping[str, int], text: str
) -> None:
    model = str(ids["a"])
    at = ("--root", str(root))
    for words in (
        ("tag", model, f"{text}={text}"),
        ("alias", model, text),
        ("note", model, text),
        ("record", model, f"{text}=1", "--context", json.dumps({text: text})),
    ):
        key = text.partition("=")[0]
        done = call(*at, *words)
        assert (done.status, done.err) == (0, "")
        assert not set(done.out) & set("\x1b\x07\t")
    found = registry.find(ids["a"])
    assert found
    assert dict(found["tags"])[key] == (f"{text}={text}".partition("=")[2])
    assert (found["aliases"], found["note"]) == ([text], text)
    (result,) = rows(root, "SELECT metric, context FROM result")
    assert (result["metric"], json.loads(result["context"])) == (key, {text: text})
    assert call(*at, "pin", f"{LSTM}@{text}").status == 0
    for words in (("show", model), ("history", model)):
        assert not set(call(*at, *words).out) & set("\x1b\x07\t")
    for words in (("--sort", f"result.{key}"), ("--best", f"{key}:max")):
        titles = call(*at, "list", *words).out.split("\n")[0]
        assert visible(key) in titles


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("tag", "1", ""), "empty"),
        (("tag", "1", "=x"), "empty"),
        (("alias", "1", "\udcff"), "UTF-8"),
        (("note", "1", "\udcff"), "UTF-8"),
        (("record", "1", "sharpe"), "sharpe=1.31"),
        (("record", "1", "=1"), "sharpe=1.31"),
        (("record", "1", "sharpe=good"), "sharpe=1.31"),
        (("record", "1", "sharpe=1", "--context", "{"), "no JSON"),
        (("record", "1", "sharpe=1", "--context", "[1]"), "object"),
        (("record", "1", "sharpe=1", "--context", '{"a": NaN}'), "NaN"),
    ],
)
def test_words_that_say_nothing_are_refused_and_change_nothing(
    root: Path, registry: Registry, words: tuple[str, ...], why: str
) -> None:
    before = registry.last_history_id()
    done = call("--root", str(root), *words)
    assert done.status == 2
    assert why in done.err
    assert registry.last_history_id() == before


# -- what MODEL may be -----------------------------------------------------------------------------


def test_a_model_is_named_by_its_alias_after_its_place(
    root: Path, registry: Registry, ids: Mapping[str, int]
) -> None:
    books.set_alias(registry, ids["a"], "a@b/c", ADA, NOW)
    books.set_alias(registry, ids["d"], "best", ADA, NOW)
    for name, stem in ((f"{LSTM}@a@b/c", "a"), ("loose@best", "d")):
        done = call("--root", str(root), "--json", "pin", name)
        assert done.json()[0]["model_id"] == ids[stem], name
    for name in (f"{GRU}@a@b/c", f"{LSTM}@best", "@best", "loose@", "loose@be"):
        assert call("--root", str(root), "pin", name).status == 12, name


def test_an_alias_that_two_share_by_a_move_names_neither(
    root: Path, reconciler: Reconciler, ids: Mapping[str, int]
) -> None:
    for stem in ("a", "c"):
        books.set_alias(reconciler.registry, ids[stem], "best", ADA, NOW)
    (root / GRU / "c.h5").rename(root / LSTM / "c.h5")
    reconcile(reconciler)
    done = call("--root", str(root), "pin", f"{LSTM}@best")
    assert done.status == 2
    assert f"{min(ids['a'], ids['c'])} and {max(ids['a'], ids['c'])}" in done.err


def test_the_old_path_of_a_moved_model_says_where_it_went(
    root: Path, reconciler: Reconciler, ids: Mapping[str, int]
) -> None:
    (root / LSTM / "a.h5").rename(root / GRU / "new.h5")
    reconcile(reconciler)
    done = call("--root", str(root), "--json", "pin", f"{LSTM}/a.h5")
    assert done.json()[0]["model_id"] == ids["a"]
    assert done.err == f"watcherd: {LSTM}/a.h5 is {GRU}/new.h5 now\n"
    assert call("--root", str(root), "pin", f"{GRU}/new.h5").err == ""


def test_one_name_that_means_nothing_costs_only_itself(root: Path, ids: Mapping[str, int]) -> None:
    done = call("--root", str(root), "--json", "pin", "nothing", f"{LSTM}/a.h5")
    assert done.status == 3
    assert [(row["model_id"], row["changed"]) for row in done.json()] == [
        (None, False), (ids["a"], True),
    ]  # fmt: skip
    alone = call("--root", str(root), "pin", "nothing")
    assert (alone.status, alone.out) == (12, "")


def test_a_taken_alias_ends_with_11(root: Path, ids: Mapping[str, int]) -> None:
    at = ("--root", str(root))
    assert call(*at, "alias", str(ids["a"]), "champion").status == 0
    done = call(*at, "alias", str(ids["b"]), "champion")
    assert done.status == 11
    assert f"{LSTM}/a.h5" in done.err


# -- I9 --------------------------------------------------------------------------------------------

PLACES = [f"{LSTM}/a.h5", f"{LSTM}/b.h5", f"{GRU}/a.h5", "loose/a.h5"]
WORDS = st.sampled_from(["x", "best", "나", "'"])
ACTS = st.one_of(
    st.tuples(st.sampled_from(["pin", "unpin"])),
    st.tuples(st.just("set_tag"), WORDS, st.one_of(st.none(), WORDS)),
    st.tuples(st.sampled_from(["drop_tag", "set_alias", "drop_alias"]), WORDS),
    st.tuples(st.just("note"), st.one_of(st.just(""), WORDS)),
    st.tuples(st.just("record"), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("save"), st.integers(0, VARIANTS - 1)),
    st.tuples(st.just("move"), st.sampled_from(PLACES)),
    st.tuples(st.sampled_from(["remove", "break_"])),
    st.tuples(
        st.just("say"),
        st.fixed_dictionaries(
            {},
            optional={
                "tags": st.dictionaries(WORDS, st.one_of(st.none(), WORDS), max_size=2),
                "note": WORDS,
                "results": st.dictionaries(WORDS, st.integers(0, 2), max_size=1),
            },
        ),
    ),
)


@settings(max_examples=EXAMPLES // 5)
@given(acts=st.lists(st.tuples(st.sampled_from(PLACES), ACTS), min_size=4, max_size=14))
def test_i9_path_state_and_marks_follow_from_the_history(
    in_new_root: Callable[..., None],  # noqa: F811  the fixture
    acts: list[tuple[str, tuple[Any, ...]]],
) -> None:
    def check(root: Path, saved: Saved) -> None:
        with reconciler_of(root) as reconciler:
            saved.write_h5(root / PLACES[0])
            reconcile(reconciler)
            for place, (verb, *words) in acts:
                _act(reconciler, root, saved, place, verb, words)
            reconcile(reconciler)
            told = replay(reconciler.registry)
            event(f"{len(told)} models")
            assert told == marks_of(reconciler.registry)

    in_new_root(check)


def _act(
    reconciler: Reconciler, root: Path, saved: Saved, place: str, verb: str, words: list[Any]
) -> None:
    """Something done to the file at a place, and seen; or said of the model there."""
    path, note = root / place, root / f"{place}.watcherd.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = reconciler.registry.ids_at(place)
    if verb == "save":
        saved.write_h5(path, *words)
    elif verb == "break_":
        path.write_bytes(b"no HDF5")
    elif verb == "say":
        note.write_text(json.dumps(words[0]))
    elif verb in ("move", "remove"):
        for one in (path, note):
            with suppress(FileNotFoundError, shutil.SameFileError):
                _move(one, root, place, words) if words else one.unlink()
    elif ids and verb == "record":
        with suppress(Refused):
            record(reconciler.registry, ids[0], {"sharpe": words[0]}, None, ADA, NOW)
        return
    elif ids:
        with suppress(Refused):
            getattr(books, verb)(reconciler.registry, ids[0], *words, ADA, NOW)
        return
    reconcile(reconciler)


def _move(one: Path, root: Path, place: str, words: list[str]) -> None:
    target = root / (words[0] + one.name.removeprefix(Path(place).name))
    target.parent.mkdir(parents=True, exist_ok=True)
    one.rename(target)


Marks = tuple[str, str, bool, str | None, dict[str, str | None], set[str]]
"""Path, state, pinned, note, tags, aliases."""


def marks_of(registry: Registry) -> dict[int, Marks]:
    """As the tables have them."""
    found = {}
    for row in registry.models(EVERY):
        one = _row(registry, row["model_id"])
        found[row["model_id"]] = (
            one["path"], one["state"], bool(one["pinned"]), one["note"],
            dict(one["tags"]), set(one["aliases"]),
        )  # fmt: skip
    return found


def replay(registry: Registry) -> dict[int, Marks]:
    """As the history alone tells them."""
    models: defaultdict[int, dict[str, Any]] = defaultdict(
        lambda: {"pinned": False, "note": None, "tags": {}, "aliases": set()}
    )
    for line in registry.history():
        one, said = models[line["model_id"]], line["details"] or {}
        one["path"] = line["path"]
        match line["verb"]:
            case "missing":
                one["state"] = "missing"
            case "pinned" | "unpinned" as verb:
                one["pinned"] = verb == "pinned"
            case "tagged":
                one["tags"][said["key"]] = said["value"]
            case "untagged":
                del one["tags"][said["key"]]
            case "aliased":
                one["aliases"].add(said["alias"])
            case "unaliased":
                one["aliases"].remove(said["alias"])
            case "noted":
                one["note"] = said["note"]
            case "recorded":
                assert said["results"]
                assert said["fingerprint"]
            case "ensembled" | "unensembled":
                assert said["ensemble_type"]
            case _:
                one["state"] = said["state"]
    return {
        model_id: tuple(one[key] for key in ("path", "state", "pinned", "note", "tags", "aliases"))
        for model_id, one in models.items()
    }  # type: ignore[return-value]  # a tuple of a generator has no length for mypy


def _row(registry: Registry, model_id: int) -> dict[str, Any]:
    found = registry.find(model_id)
    assert found
    return found

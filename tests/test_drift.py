"""What compare and conclude say of plain values: no disk, no registry, no clock."""

from dataclasses import replace

import pytest

from watcherd import drift
from watcherd.artifact import Artifact, FileFact, Form, Part, Role, Snapshot
from watcherd.plan import Note, Outcome, Reading, Record, State, Verb
from watcherd.scope import ROOT, parent_of

SECOND = 1_000_000_000
NOW = 1_000 * SECOND
SETTLE = SECOND
QUIET = NOW - 10 * SECOND


def fact(inode: int = 1, at: int = QUIET, size: int = 10, device: int = 1) -> FileFact:
    return FileFact(size, at, at, inode, device)


def h5(path: str, **facts: int) -> Artifact:
    return Artifact(path, Form.HDF5, (Part(Role.H5, path, fact(**facts)),))


def checkpoint(path: str, *suffixes: str, at: int = QUIET) -> Artifact:
    roles = {".index": Role.INDEX, ".meta": Role.GRAPH}
    parts = tuple(
        Part(roles.get(suffix, Role.SHARD), path + suffix, fact(inode=inode, at=at))
        for inode, suffix in enumerate(sorted(suffixes), 100)
    )
    return Artifact(path, Form.CHECKPOINT, parts)


def record(artifact: Artifact, model_id: int = 1, **more: object) -> Record:
    known = Record(model_id, 1, artifact.path, State.PRESENT, "f1", artifact.parts)
    return replace(known, **more)


def snapshot(*artifacts: Artifact, at: int = QUIET, **more: object) -> Snapshot:
    """A whole look at the root; every folder's mtime is ``at``."""
    places = {"", *(parent_of(one.path) for one in artifacts), "a", "b"}
    return Snapshot(
        ROOT, NOW, dict.fromkeys(places, at), {one.path: one for one in artifacts}, **more
    )


def compare(seen: Snapshot, *records: Record, **more: object) -> drift.Work:
    return drift.compare(seen, records, **{"now": NOW, "settle": SETTLE, **more})


def complete(fingerprint: str = "f1") -> Reading:
    return Reading(Outcome.COMPLETE, fingerprint=fingerprint)


def verbs(plan: drift.Plan) -> list[tuple[str, str]]:
    return [(str(change.verb), change.path) for change in plan.changes]


def test_what_has_no_row_is_new() -> None:
    work = compare(snapshot(h5("a/m.h5")))
    assert [one.path for one in work.new] == ["a/m.h5"]


def test_equal_facts_are_no_work() -> None:
    one = h5("a/m.h5")
    assert compare(snapshot(one), record(one)) == drift.Work()


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("size", fact(size=11)),
        ("mtime", FileFact(10, QUIET + 1, QUIET, 1, 1)),
        ("ctime, as cp -p over it leaves size and mtime", FileFact(10, QUIET, QUIET + 1, 1, 1)),
        ("inode, as a rename over it leaves", fact(inode=2)),
    ],
)
def test_any_fact_that_differs_is_read_again(what: str, other: FileFact) -> None:
    known = h5("a/m.h5")
    seen = Artifact("a/m.h5", Form.HDF5, (Part(Role.H5, "a/m.h5", other),))
    assert [one.path for one, _ in compare(snapshot(seen), record(known)).changed] == ["a/m.h5"]


def test_a_device_number_alone_proves_nothing() -> None:
    """NFS and btrfs change it by themselves: the row is refreshed, the file is not read."""
    work = compare(snapshot(h5("a/m.h5", device=9)), record(h5("a/m.h5", device=1)))
    assert not work.changed
    assert [one.path for one, _ in work.refreshed] == ["a/m.h5"]


@pytest.mark.parametrize("age", [0, SETTLE // 2, SETTLE - 1])
def test_what_changed_within_settle_is_settling_and_no_work(age: int) -> None:
    work = compare(snapshot(h5("a/m.h5", at=NOW - age)))
    assert not work.new
    (seen,) = work.settling
    assert (seen.path, seen.due) == ("a/m.h5", NOW - age + SETTLE)


def test_a_fact_exactly_settle_old_is_settled() -> None:
    assert compare(snapshot(h5("a/m.h5", at=NOW - SETTLE))).new


def test_an_mtime_in_the_future_settles_by_two_equal_looks() -> None:
    seen = snapshot(h5("a/m.h5", at=NOW + 3600 * SECOND))
    first = compare(seen)
    assert first.settling[0].due == NOW + SETTLE
    looks = {one.path: one for one in first.settling}
    early = compare(seen, now=NOW + SETTLE - 1, looks=looks)
    assert not early.new
    assert compare(seen, now=NOW + SETTLE, looks=looks).new


def test_two_looks_at_different_facts_do_not_settle() -> None:
    first = compare(snapshot(h5("a/m.h5", at=NOW + 3600 * SECOND)))
    looks = {one.path: one for one in first.settling}
    other = snapshot(h5("a/m.h5", at=NOW + 3601 * SECOND))
    assert not compare(other, now=NOW + SETTLE, looks=looks).new


def test_a_row_whose_file_is_absent_from_a_quiet_folder_is_gone() -> None:
    work = compare(snapshot(), record(h5("a/m.h5")))
    assert [one.path for one in work.gone] == ["a/m.h5"]


def test_absence_is_as_young_as_its_folder() -> None:
    """A trainer that deletes and then writes leaves a gap: it is not called missing in it."""
    known = record(h5("a/m.h5"))
    work = compare(snapshot(at=NOW), known)
    assert not work.gone
    looks = {one.path: one for one in work.settling}
    again = compare(snapshot(at=NOW + SETTLE), known, now=NOW + SETTLE, looks=looks)
    assert [one.path for one in again.gone] == ["a/m.h5"], "a folder that is never quiet"


def test_a_folder_that_is_gone_is_proven_by_the_nearest_above_it() -> None:
    seen = Snapshot(ROOT, NOW, {"": QUIET}, {})
    assert compare(seen, record(h5("a/deep/m.h5"))).gone


@pytest.mark.parametrize("kind", ["blind", "unfollowed"])
@pytest.mark.parametrize("place", ["a", ""])
def test_nothing_under_what_was_not_looked_at_is_gone(kind: str, place: str) -> None:
    seen = snapshot(**{kind: {place: "not permitted"}})
    assert compare(seen, record(h5("a/m.h5"))) == drift.Work()


def test_a_symlink_in_its_place_says_that_the_file_is_gone() -> None:
    seen = snapshot(unfollowed={"a/m.h5": "a symlink, which is never followed"})
    assert [one.path for one in compare(seen, record(h5("a/m.h5"))).gone] == ["a/m.h5"]


def test_a_file_that_the_settings_ignore_by_now_keeps_its_row() -> None:
    assert compare(snapshot(ignored=frozenset({"a/m.h5"})), record(h5("a/m.h5"))) == drift.Work()


def test_what_is_saved_anew_where_our_trash_took_a_model_is_another_one() -> None:
    old = record(h5("a/m.h5", inode=1))
    work = compare(snapshot(h5("a/m.h5", inode=2)), old, trashed={1: Verb.PRUNED})
    assert ([one.path for one in work.new], list(work.gone)) == (["a/m.h5"], [old])
    plan = drift.conclude(work, {"a/m.h5": complete("f2")}, trashed={1: Verb.PRUNED})
    assert verbs(plan) == [("registered", "a/m.h5"), ("pruned", "a/m.h5")]


def test_a_clock_that_is_set_back_does_not_keep_things_settling() -> None:
    seen = snapshot(h5("a/m.h5", at=NOW))
    looks = {one.path: one for one in compare(seen).settling}
    hour = 3600 * SECOND
    back = compare(seen, now=NOW - hour, looks=looks)
    looks = {one.path: one for one in back.settling}
    assert compare(seen, now=NOW - hour + SETTLE, looks=looks).new


def test_nothing_is_said_of_folders_that_were_not_listed() -> None:
    seen = Snapshot(ROOT, NOW, {}, {})
    assert compare(seen, record(h5("a/m.h5"))) == drift.Work()


def test_what_our_own_trash_holds_needs_no_quiet_time() -> None:
    work = compare(snapshot(at=NOW), record(h5("a/m.h5")), trashed={1: Verb.PRUNED})
    assert [one.path for one in work.gone] == ["a/m.h5"]


def test_a_move_is_judged_in_one_piece() -> None:
    """``mv`` makes the new place's ctime young: until it is quiet the old place is not missing."""
    known = record(h5("a/m.h5", inode=7))
    seen = snapshot(h5("b/m.h5", inode=7, at=NOW - SETTLE // 2))
    work = compare(seen, known)
    assert (work.gone, work.new) == ((), ())
    assert {one.path for one in work.settling} == {"a/m.h5", "b/m.h5"}


def test_a_checkpoint_that_loses_a_file_this_moment_is_settling() -> None:
    """A trainer deletes index and shards one by one: the files left have old facts."""
    whole = checkpoint("a/ckpt-1", ".index", ".data-00000-of-00001")
    left = Artifact(whole.path, whole.form, whole.parts[:1])
    assert compare(snapshot(left, at=NOW), record(whole)).settling
    assert compare(snapshot(left, at=QUIET), record(whole)).changed


def test_a_state_file_that_names_another_checkpoint_refreshes_both() -> None:
    old, new = h5("a/1.h5"), h5("a/2.h5", inode=2)
    seen = snapshot(old, new, resume=frozenset({"a/2.h5"}))
    work = compare(seen, record(old, 1, resume=True), record(new, 2))
    assert {one.path for one, _ in work.refreshed} == {"a/1.h5", "a/2.h5"}


# -- conclude --------------------------------------------------------------------------------------

CASES = [
    # state before, fingerprint before, reading, verb
    (State.PRESENT, "f1", complete("f1"), Verb.REFRESHED),
    (State.PRESENT, "f1", complete("f2"), Verb.UPDATED),
    (State.PRESENT, "f1", Reading(Outcome.INCOMPLETE, reason="short"), Verb.INCOMPLETE),
    (State.PRESENT, "f1", Reading(Outcome.UNREADABLE, reason="text"), Verb.UNREADABLE),
    (State.INCOMPLETE, None, complete("f1"), Verb.COMPLETED),
    (State.INCOMPLETE, "f1", complete("f1"), Verb.COMPLETED),
    (State.INCOMPLETE, None, Reading(Outcome.INCOMPLETE, reason="short"), Verb.REFRESHED),
    (State.UNREADABLE, "f1", complete("f2"), Verb.UPDATED),
    (State.UNREADABLE, "f1", Reading(Outcome.UNREADABLE, reason="text"), Verb.REFRESHED),
]


@pytest.mark.parametrize(("state", "fingerprint", "reading", "verb"), CASES)
def test_a_rewritten_artifact(
    state: State, fingerprint: str | None, reading: Reading, verb: Verb
) -> None:
    one = h5("a/m.h5")
    work = drift.Work(changed=((one, record(one, state=state, fingerprint=fingerprint)),))
    assert verbs(drift.conclude(work, {"a/m.h5": reading})) == [(verb, "a/m.h5")]


def test_what_changed_while_it_was_read_is_looked_at_again() -> None:
    plan = drift.conclude(drift.Work(new=(h5("a/m.h5"),)), {"a/m.h5": Reading(Outcome.CHANGED)})
    assert (plan.changes, plan.again) == ((), ("a/m.h5",))


def test_what_may_not_be_read_is_a_blind_spot_and_its_row_is_left_alone() -> None:
    one = h5("a/m.h5")
    denied = Reading(Outcome.DENIED, reason="Permission denied")
    plan = drift.conclude(drift.Work(changed=((one, record(one)),)), {"a/m.h5": denied})
    assert (plan.changes, dict(plan.blind)) == ((), {"a/m.h5": "Permission denied"})


def test_same_inode_and_content_at_a_new_path_is_a_move() -> None:
    old, new = h5("a/m.h5", inode=7), h5("b/m.h5", inode=7)
    work = drift.Work(new=(new,), gone=(record(old),))
    plan = drift.conclude(work, {"b/m.h5": complete("f1")})
    assert verbs(plan) == [("moved", "b/m.h5")]
    assert plan.changes[0].from_path == "a/m.h5"


def test_an_inode_handed_to_the_next_file_is_no_move() -> None:
    old, new = h5("a/m.h5", inode=7), h5("b/m.h5", inode=7)
    work = drift.Work(new=(new,), gone=(record(old),))
    plan = drift.conclude(work, {"b/m.h5": complete("other")})
    assert verbs(plan) == [("registered", "b/m.h5"), ("missing", "a/m.h5")]


def test_equal_content_on_the_same_file_system_is_a_copy_and_no_move() -> None:
    work = drift.Work(new=(h5("b/m.h5", inode=8),), gone=(record(h5("a/m.h5", inode=7)),))
    plan = drift.conclude(work, {"b/m.h5": complete("f1")})
    assert verbs(plan) == [("registered", "b/m.h5"), ("missing", "a/m.h5")]


def test_across_file_systems_content_alone_tells_a_move() -> None:
    new = h5("b/m.h5", inode=8, device=2)
    work = drift.Work(new=(new,), gone=(record(h5("a/m.h5", inode=7)),))
    assert verbs(drift.conclude(work, {"b/m.h5": complete("f1")})) == [("moved", "b/m.h5")]


def test_of_two_equal_copies_none_is_the_moved_one() -> None:
    new = tuple(h5(f"b/{inode}.h5", inode=inode, device=2) for inode in (8, 9))
    work = drift.Work(new=new, gone=(record(h5("a/m.h5", inode=7)),))
    plan = drift.conclude(work, {one.path: complete("f1") for one in new})
    assert {verb for verb, _ in verbs(plan)} == {"registered", "missing"}


def test_two_models_that_swap_their_paths_are_two_moves() -> None:
    a, b = h5("a/m.h5", inode=1), h5("b/m.h5", inode=2)
    work = drift.Work(
        changed=(
            (h5("a/m.h5", inode=2), record(a, 1, fingerprint="fa")),
            (h5("b/m.h5", inode=1), record(b, 2, fingerprint="fb")),
        )
    )
    plan = drift.conclude(work, {"a/m.h5": complete("fb"), "b/m.h5": complete("fa")})
    moved = {(c.record.model_id, c.path) for c in plan.changes if c.record}
    assert {verb for verb, _ in verbs(plan)} == {"moved"}
    assert moved == {(1, "b/m.h5"), (2, "a/m.h5")}


def test_renamed_away_and_made_anew_is_a_move_and_a_new_model() -> None:
    old = record(h5("a/best.h5", inode=1))
    work = drift.Work(new=(h5("a/old.h5", inode=1),), changed=((h5("a/best.h5", inode=2), old),))
    plan = drift.conclude(work, {"a/old.h5": complete("f1"), "a/best.h5": complete("f2")})
    assert set(verbs(plan)) == {("moved", "a/old.h5"), ("registered", "a/best.h5")}


def test_renamed_over_another_the_other_is_missing() -> None:
    a, b = record(h5("a/a.h5", inode=1), 1, fingerprint="fa"), record(h5("a/b.h5", inode=2), 2)
    work = drift.Work(changed=((h5("a/a.h5", inode=2), a),), gone=(b,))
    plan = drift.conclude(work, {"a/a.h5": complete("f1")})
    assert [(str(c.verb), c.record and c.record.model_id) for c in plan.changes] == [
        ("moved", 2),
        ("missing", 1),
    ]


@pytest.mark.parametrize(
    ("state", "path", "inode", "fingerprint", "verb"),
    [
        (State.MISSING, "a/m.h5", 9, "f1", Verb.RETURNED),
        (State.MISSING, "a/m.h5", 9, "f2", Verb.RETURNED),
        (State.MISSING, "b/m.h5", 7, "f1", Verb.MOVED),
        (State.MISSING, "b/m.h5", 9, "f1", Verb.REGISTERED),
        (State.DELETED, "a/m.h5", 9, "f1", Verb.RETURNED),
        (State.DELETED, "a/m.h5", 9, "f2", Verb.REGISTERED),
        (State.TRASHED, "a/m.h5", 7, "f1", Verb.RESTORED),
        (State.TRASHED, "a/m.h5", 9, "f1", Verb.RESTORED),
        (State.TRASHED, "a/m.h5", 9, "f2", Verb.REGISTERED),
    ],
)
def test_what_was_lost_may_be_found_again(
    state: State, path: str, inode: int, fingerprint: str, verb: Verb
) -> None:
    """A row that was not on disk: at a/m.h5, inode 7, content f1."""
    lost = record(h5("a/m.h5", inode=7), state=state)
    work = drift.Work(new=(h5(path, inode=inode),))
    plan = drift.conclude(work, {path: complete(fingerprint)}, kin=[lost])
    assert verbs(plan) == [(verb, path)]


def test_missing_is_concluded_last() -> None:
    gone = record(h5("a/lost.h5", inode=3), 1)
    plan = drift.conclude(
        drift.Work(new=(h5("b/n.h5", inode=4),), gone=(gone,)), {"b/n.h5": complete("f9")}
    )
    assert [str(change.verb) for change in plan.changes] == ["registered", "missing"]


def test_what_the_trash_holds_was_pruned_and_is_not_missing() -> None:
    plan = drift.conclude(drift.Work(gone=(record(h5("a/m.h5")),)), {}, trashed={1: Verb.PRUNED})
    assert [(change.verb, change.state) for change in plan.changes] == [
        (Verb.PRUNED, State.TRASHED)
    ]


# -- notes and companions --------------------------------------------------------------------------

NOTE, SCALER = "a/m.h5.watcherd.json", "a/scaler.x"


def noted(at: int = QUIET, *, scaler: int | None = None) -> Artifact:
    """A model with a note of that time; with a companion of that size."""
    parts = [*h5("a/m.h5").parts, Part(Role.NOTE, NOTE, fact(inode=2, at=at))]
    if scaler is not None:
        parts.append(Part(Role.COMPANION, SCALER, fact(inode=3, size=scaler)))
    return Artifact("a/m.h5", Form.HDF5, tuple(parts))


def test_a_note_that_changes_makes_its_model_be_read_again_once_it_is_quiet() -> None:
    known = record(noted())
    assert compare(snapshot(noted(at=QUIET + 1)), known).changed
    young = compare(snapshot(noted(at=NOW)), known)
    assert (young.changed, [one.path for one in young.settling]) == ((), ["a/m.h5"])
    assert noted(at=NOW).modified_ns == QUIET, "it makes no model look younger"


def test_a_note_that_is_gone_this_moment_may_be_written_anew() -> None:
    work = compare(snapshot(h5("a/m.h5"), at=NOW), record(noted()))
    assert (work.changed, len(work.settling)) == ((), 1)
    assert compare(snapshot(h5("a/m.h5")), record(noted())).changed


@pytest.mark.parametrize("size", [None, 7, 8], ids=["gone", "as it was", "changed"])
def test_companions_are_followed_without_reading_and_without_waiting(size: int | None) -> None:
    known = record(noted(scaler=7), companions=("scaler.x", "absent.x"))
    beside = {} if size is None else {SCALER: fact(inode=3, size=size)}
    work = compare(snapshot(noted(), beside=beside), known)
    assert (work.changed, work.settling) == ((), ())
    assert [one for one, _ in work.refreshed] == ([] if size == 7 else [noted(scaler=size)])


@pytest.mark.parametrize(
    ("note", "wanted"),
    [
        (Note(companions=("scaler.x", "absent.x")), noted(scaler=10)),
        (Note(), noted()),
        (None, noted()),
        (Note(is_readable=False), noted(scaler=10)),
    ],
    ids=["named", "named no more", "no note", "a broken note"],
)
def test_which_companions_a_model_has_its_note_says(note: Note | None, wanted: Artifact) -> None:
    known = record(noted(scaler=10), companions=("scaler.x",))
    reading = replace(complete("f1"), note=note)
    beside = {SCALER: fact(inode=3), "a/other.x": fact(inode=4)}
    work = drift.Work(changed=((noted(), known),))
    (change,) = drift.conclude(work, {"a/m.h5": reading}, beside=beside).changes
    assert change.artifact == wanted

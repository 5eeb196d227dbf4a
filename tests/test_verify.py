"""``watcherd verify``: TensorFlow opens what it can, dies of what it must, and harms nobody."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.conftest import RunningDaemon, Saved, rows, wait_until, watcherd
from tests.inline import reconcile, reconciler_of
from tests.test_harm import concerning, idleness, needs_strace, traced
from watcherd import verify
from watcherd.errors import RootSuspended, VerifyError
from watcherd.openers import find_openers
from watcherd.plan import Verb
from watcherd.proof import Answer, Proof, Subject
from watcherd.reconciler import Reconciler
from watcherd.registry import By, iso
from watcherd.registry.compaction import drop_history
from watcherd.registry.tables import model
from watcherd.registry.verifications import (
    NEWEST,
    next_to_verify,
    subject_of,
    to_verify,
    why_unverified,
)
from watcherd.scope import Cause
from watcherd.sideline import REST, Sideline
from watcherd.verify import Opener
from watcherd.verifying import choose, conclude, judge, why_not

PLACE = "1h/BTCUSDT/LSTM"
BY = By("ada@trainer1", Cause.REQUEST)
LAYERS = """
import keras
class Known(keras.layers.Layer):
    def call(self, inputs):
        return inputs
"""

# -- real models, and TensorFlow itself ------------------------------------------------------------


def save_all(folder: Path, saved: Saved, modules: Path) -> None:
    """A model of each kind that the table below tells of."""
    import h5py
    import keras
    import tensorflow as tf

    sys.path.insert(0, str(modules))
    try:
        from layers_of_ours import Known  # type: ignore[import-not-found]  # written by the test
    finally:
        sys.path.remove(str(modules))

    class Strange(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any) -> Any:
            return inputs

    def run_code(inputs: Any, marker: str = str(modules / "executed")) -> Any:
        open(marker, "w").close()
        return inputs

    own = {
        "known.keras": Known(),
        "known.h5": Known(),
        "strange.keras": Strange(),
        "lambda.h5": keras.layers.Lambda(lambda x, f=run_code: f(x)),
        "lambda.keras": keras.layers.Lambda(lambda x, f=run_code: f(x)),
    }
    for name, layer in own.items():
        keras.Sequential([keras.layers.Input((4,)), layer, keras.layers.Dense(1)]).save(
            folder / name
        )
    (modules / "executed").unlink()  # by the making of it
    saved.write_h5(folder / "good.h5")
    saved.write_h5(folder / "hdf5 named [so].keras", 1)
    (folder / "good.weights.h5").write_bytes(saved.weights[0])
    saved.write_checkpoint(folder / "ckpt-1")
    (folder / "ckpt-1").mkdir()  # a folder of the prefix's name
    shard = saved.write_checkpoint(folder / "flipped-2").with_name("flipped-2.data-00000-of-00001")
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    with h5py.File(folder / "prices.h5", "w") as file:
        file["close"] = [1.0, 2.0]
    (folder / "swells.weights.h5").write_bytes(saved.weights[1])
    with h5py.File(folder / "swells.weights.h5", "a") as file:  # 2 GB that nobody ever wrote
        file.create_dataset("layers/x/vars/0", (500_000_000,), "f4", chunks=(1_000_000,))
    module = tf.Module()
    module.v = tf.Variable([1.0, 2.0])
    module.f = tf.function(lambda: module.v * 2, input_signature=[])
    tf.saved_model.save(module, str(folder / "exported"))


@dataclass(frozen=True)
class Run:
    """One ``watcherd verify`` of a whole root, and what was there."""

    root: Path
    modules: Path
    status: int
    said: Mapping[str, dict[str, Any]]
    """Name -> row of the JSON."""


@pytest.fixture(scope="module")
def run(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Run:
    base = tmp_path_factory.mktemp("verified")
    root, modules = base / "models", base / "modules"
    (root / PLACE).mkdir(parents=True)
    modules.mkdir()
    (modules / "layers_of_ours.py").write_text(LAYERS)
    save_all(root / PLACE, saved, modules)
    (base / "config.toml").write_text('[verify]\ncustom_objects = ["layers_of_ours:Known"]\n')
    watcherd(root, "reconcile")
    done = watcherd(
        root, "--config", str(base / "config.toml"), "verify", "--json",
        check=False, env={**os.environ, "PYTHONPATH": str(modules)},
    )  # fmt: skip
    said = {Path(row["path"]).name: row for row in json.loads(done.stdout)}
    return Run(root, modules, done.returncode, said)


ANSWERS: dict[str, tuple[Answer, str | None]] = {
    "good.h5": (Answer.OPENED, None),
    "hdf5 named [so].keras": (Answer.OPENED, None),
    "good.weights.h5": (Answer.OPENED, None),
    "ckpt-1": (Answer.OPENED, None),
    "exported": (Answer.OPENED, None),
    "known.keras": (Answer.OPENED, None),
    "known.h5": (Answer.OPENED, None),
    "strange.keras": (Answer.UNCLEAR, "Keras does not know Strange: .*verify.custom_objects"),
    "lambda.h5": (Answer.UNCLEAR, "a Lambda layer, whose code is not run"),
    "lambda.keras": (Answer.UNCLEAR, "a Lambda layer, whose code is not run"),
    "swells.weights.h5": (Answer.UNCLEAR, "too little memory, of which it may take 1,07. MB"),
    "flipped-2": (Answer.FAILED, "Checksum does not match"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_tensorflow_says_of_each_model_whether_it_opens(run: Run, name: str) -> None:
    answer, why = ANSWERS[name]
    row = run.said[name]
    assert row["answer"] == answer
    assert re.search(why, row["reason"]) if why else row["reason"] is None
    assert re.match(r"TensorFlow 2.*, Keras \d", row["judge"])


def test_all_that_tensorflow_can_open_is_asked_about_and_the_status_tells_of_failures(
    run: Run,
) -> None:
    assert run.said.keys() == ANSWERS.keys()
    assert run.status == 3


def test_what_was_said_is_in_the_registry_with_its_history(run: Run) -> None:
    flags = {Answer.OPENED: 1, Answer.FAILED: 0, Answer.UNCLEAR: None}
    verbs = {Answer.OPENED: "verified"}
    for row in rows(run.root, "SELECT * FROM model WHERE format != 'hdf5'"):
        answer, _ = ANSWERS[Path(row["path"]).name]
        assert (row["verified"], bool(row["verified_at"])) == (flags[answer], True)
        assert (row["state"], row["revision"]) == ("present", 1)
        query = "SELECT * FROM history WHERE model_id = ? ORDER BY history_id DESC LIMIT 1"
        (line,) = rows(run.root, query, row["model_id"])
        details = json.loads(line["details"])
        assert (line["verb"], line["cause"]) == (verbs.get(answer, "unverified"), "request")
        assert details["fingerprint"] == row["fingerprint"]
        assert details.get("reason") == run.said[Path(row["path"]).name]["reason"]


def test_no_code_of_a_lambda_is_run(run: Run) -> None:
    assert run.said["lambda.h5"]["answer"] == run.said["lambda.keras"]["answer"] == "unclear"
    assert not (run.modules / "executed").exists()


def test_weights_are_loaded_into_an_architecture_that_takes_them(run: Run) -> None:
    (line,) = rows(run.root, "SELECT details FROM history WHERE verb = 'verified' AND path LIKE ?",
                   "%/good.weights.h5")  # fmt: skip
    (one,) = rows(run.root, "SELECT architecture_id FROM model WHERE path LIKE '%/good.h5'")
    assert json.loads(line["details"])["architecture_id"] == one["architecture_id"]


def test_show_tells_why_a_model_does_not_open(run: Run) -> None:
    told = json.loads(watcherd(run.root, "show", f"{PLACE}/flipped-2", "--json").stdout)
    assert "Checksum does not match" in told["verify_reason"]
    assert "Checksum" in watcherd(run.root, "show", f"{PLACE}/flipped-2").stdout


def test_hdf5_that_is_no_model_is_nothing_for_tensorflow(run: Run) -> None:
    done = watcherd(run.root, "verify", f"{PLACE}/prices.h5", check=False)
    assert (done.returncode, "no model of Keras" in done.stdout) == (3, True)


def test_a_model_that_nobody_knows_ends_with_12_and_a_root_that_is_gone_with_10(run: Run) -> None:
    assert watcherd(run.root, "verify", "nowhere.h5", check=False).returncode == 12
    url = f"sqlite:///{run.root}/.watcherd/registry.db"
    gone = run.root.with_name("gone")
    assert watcherd(gone, "--registry", url, "verify", check=False).returncode == 10


# -- a stand-in for TensorFlow: it does what a checkpoint's graph tells it to ----------------------

STAND_IN = """
import os, resource, signal, sys, time
__version__ = "1.0"
class errors:
    class ResourceExhaustedError(Exception): pass
class keras:
    __version__ = "2.0"
    class backend:
        clear_session = staticmethod(lambda: None)
    class utils:
        get_custom_objects = staticmethod(dict)
class Reader:
    def __init__(self, prefix):
        self.prefix = prefix
    def get_variable_to_shape_map(self):
        return {"v": ()}
    def get_tensor(self, name):
        with open(self.prefix + ".meta") as file:
            exec(file.read(), {"os": os, "sys": sys, "signal": signal, "time": time})
class train:
    load_checkpoint = Reader
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder; processes find it in place of TensorFlow."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    (folder / "tensorflow.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@dataclass
class World:
    """A root with checkpoints that tell the stand-in what to do."""

    root: Path
    saved: Saved
    reconciler: Reconciler

    def add(self, name: str, code: str = "pass") -> int:
        """A checkpoint's model_id; what is in its graph is the stand-in's business alone."""
        prefix = self.saved.write_checkpoint(self.root / PLACE / name)
        prefix.with_name(f"{name}.meta").write_text(code)
        reconcile(self.reconciler)
        return int(self.row(name)["model_id"])

    def row(self, name: str) -> dict[str, Any]:
        query = "SELECT * FROM model WHERE path = ?"
        (row,) = rows(self.root, query, f"{PLACE}/{name}")
        return row

    def subject(self, model_id: int) -> Subject:
        subject = subject_of(self.reconciler.registry, model_id)
        assert subject is not None
        return subject

    def judge(self, opener: Opener, model_id: int) -> Proof | None:
        return judge(opener, self.reconciler.root, self.subject(model_id))

    def conclude(self, subject: Subject, proof: Proof | None) -> bool:
        registry = self.reconciler.registry
        return conclude(registry, self.reconciler.root, subject, proof, BY)


@pytest.fixture
def world(root: Path, saved: Saved) -> Iterator[World]:
    with reconciler_of(root) as reconciler:
        yield World(root, saved, reconciler)


@pytest.fixture
def opener(stand_in: Path) -> Iterator[Opener]:
    opener = Opener(seconds=0, memory=64 << 20, patience=20)
    yield opener
    opener.end()


DIE_ONCE = """
if not os.path.exists({marker!r}):
    open({marker!r}, "w").close()
    os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_process_that_dies_once_costs_a_model_nothing(
    world: World, opener: Opener, tmp_path: Path, name: str
) -> None:
    dies = world.add("dies-1", DIE_ONCE.format(marker=str(tmp_path / "died"), signal=name))
    assert world.judge(opener, dies) == Proof(Answer.OPENED, judge="TensorFlow 1.0, Keras 2.0")
    assert (tmp_path / "died").exists()


DEATHS: dict[str, tuple[str, Answer, str]] = {
    "it crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", Answer.FAILED, "died of it .SIGSEGV"),
    "it ends": ("os._exit(7)", Answer.FAILED, "died of it .exit status 7"),
    "it is killed": ("os.kill(os.getpid(), signal.SIGKILL)", Answer.UNCLEAR, "want of memory"),
    "it never ends": ("while True: pass", Answer.FAILED, r"more than 0 s of the processor's time"),
    "it raises": ("raise ValueError('so\\nand so')", Answer.FAILED, "^v: ValueError: so$"),
    "it takes too much memory": (
        "bytearray(256 << 20)", Answer.UNCLEAR, "too little memory, of which it may take .. MB",
    ),
    "C++ finds no memory": ("os.abort()", Answer.UNCLEAR, "SIGABRT.*want of memory"),
    "the kernel finds none to read into": (
        "raise ValueError('v.data-00000-of-00001; Bad address')", Answer.UNCLEAR, "too little",
    ),
    "an error comes of no memory": (
        "try: raise MemoryError\nexcept MemoryError: raise KeyError", Answer.UNCLEAR, "too little",
    ),
}  # fmt: skip


@pytest.mark.parametrize("death", DEATHS)
def test_a_model_that_kills_twice_is_judged_and_the_next_one_is_opened(
    world: World, opener: Opener, death: str
) -> None:
    code, answer, why = DEATHS[death]
    proof = world.judge(opener, world.add("kills-1", code))
    assert proof is not None
    assert proof.answer == answer
    assert re.search(why, proof.reason or "")
    well = world.judge(opener, world.add("well-2"))
    assert well is not None
    assert well.answer is Answer.OPENED


def test_a_large_model_may_take_more_memory(world: World, opener: Opener) -> None:
    one = world.subject(world.add("large-1", "bytearray(200 << 20)"))
    with verify.laid_out(world.root, one.record, one.format) as folder:
        question = {"folder": str(folder), "format": one.format, "custom_objects": []}
        small, large = (opener.ask(question, size) for size in (1000, 50 << 20))
    assert isinstance(small, dict)
    assert isinstance(large, dict)
    assert (small["answer"], large["answer"]) == (Answer.UNCLEAR, Answer.OPENED)


def test_what_waits_for_ever_is_given_up_and_nobody_is_to_blame(
    world: World, stand_in: Path
) -> None:
    """As where the process was stopped, or starves beside busy trainers."""
    opener = Opener(patience=1)
    try:
        proof = world.judge(opener, world.add("waits-1", "time.sleep(100)"))
    finally:
        opener.end()
    assert proof is not None
    assert (proof.answer, proof.reason) == (
        Answer.UNCLEAR, "TensorFlow did not answer within 1 s: stopped, or starved",
    )  # fmt: skip


def test_one_process_opens_many_and_what_models_print_is_no_answer(
    world: World, opener: Opener
) -> None:
    pids = set()
    for step in range(3):
        proof = world.judge(opener, world.add(f"prints-{step}", "print('{}', flush=True)"))
        assert proof is not None
        assert proof.answer is Answer.OPENED
        pids.add(opener.pid)
    assert len(pids) == 1


def test_the_process_takes_no_lock_and_no_gpu_and_gives_way_to_everyone(
    world: World, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "TRUE")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    world.judge(opener, world.add("well-1"))
    assert opener.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, opener.pid) == 19
    assert idleness(opener.pid) == "idle"
    proc = Path(f"/proc/{opener.pid}")
    environ = dict(one.split("=", 1) for one in (proc / "environ").read_text().split("\0") if one)
    assert environ["HDF5_USE_FILE_LOCKING"] == "FALSE"
    assert environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert (proc / "oom_score_adj").read_text() == "1000\n"


def test_what_it_reads_may_be_removed_meanwhile(world: World, opener: Opener) -> None:
    index = str(world.root / PLACE / "read-1.index")
    model_id = world.add("read-1", f"os.open({index!r}, os.O_RDONLY)")
    world.judge(opener, model_id)
    descriptors = Path(f"/proc/{opener.pid}/fd").iterdir()
    assert index in [os.path.realpath(one) for one in descriptors], "it is open still"
    assert find_openers(world.subject(model_id).record.parts) == {}


def test_another_thread_can_break_it_off(world: World, opener: Opener, tmp_path: Path) -> None:
    waits = world.subject(
        world.add("waits-1", f"open({str(tmp_path / 'asked')!r}, 'w')\nwhile True: time.sleep(1)")
    )
    failed: list[VerifyError] = []

    def ask() -> None:
        try:
            judge(opener, world.reconciler.root, waits)
        except VerifyError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until((tmp_path / "asked").exists)
    opener.stop()
    thread.join(5)
    assert "broken off" in failed[0].message


@pytest.mark.parametrize(
    ("python", "objects", "told"),
    [
        ("/nowhere/python", (), "cannot be run: No such file"),
        ("", ("no_such_module:Gate",), "no_such_module:Gate: ModuleNotFoundError"),
        ("", ("os:no_such_name",), "os:no_such_name: AttributeError"),
    ],
)
def test_where_there_is_no_tensorflow_to_ask_the_error_says_what_to_do(
    world: World, stand_in: Path, python: str, objects: tuple[str, ...], told: str
) -> None:
    with pytest.raises(VerifyError, match=re.escape(told)) as raised:
        world.judge(Opener(python, objects), world.add("well-1"))
    assert "verify.python" in raised.value.hint


def test_where_no_link_can_be_made_the_error_says_where(
    world: World, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(VerifyError, match="in /nowhere: No such file"):
        world.judge(opener, world.add("well-1"))


def test_what_went_while_it_was_its_turn_is_not_judged(world: World, opener: Opener) -> None:
    model_id = world.add("well-1")
    (world.root / PLACE / "well-1.index").unlink()
    assert world.judge(opener, model_id) is None


# -- what is written, and what is not --------------------------------------------------------------

OPENED = Proof(Answer.OPENED, judge="TensorFlow 1.0, Keras 2.0")


def rewrite(world: World, **columns: str) -> None:
    """As another process may, between the look at the disk and ours."""
    with world.reconciler.registry.writing() as connection:
        connection.execute(update(model).values(columns))


CHANGES: dict[str, Callable[[World], object]] = {
    "other content": lambda world: world.saved.write_checkpoint(world.root / PLACE / "m-1", 1),
    "a touch": lambda world: os.utime(world.root / PLACE / "m-1.index"),
    "its end": lambda world: (world.root / PLACE / "m-1.index").unlink(),
    "a symlink in its place": lambda world: (
        (world.root / PLACE).rename(world.root / "elsewhere")
        and (world.root / PLACE).symlink_to(world.root / "elsewhere")
    ),
    "its row": lambda world: (
        world.saved.write_checkpoint(world.root / PLACE / "m-1", 1),
        reconcile(world.reconciler),
    ),
    "its row alone": lambda world: rewrite(world, fingerprint="of other content"),
    "its row's state": lambda world: rewrite(world, state="trashed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_of_what_changed_meanwhile_nothing_is_written(world: World, change: str) -> None:
    subject = world.subject(world.add("m-1"))
    CHANGES[change](world)
    assert not world.conclude(subject, OPENED)
    assert world.row("m-1")["verified_at"] is None


def test_what_changes_now_is_not_even_asked_about(world: World) -> None:
    model_id = world.add("m-1")
    os.utime(world.root / PLACE / "m-1.index")
    registry, root = world.reconciler.registry, world.reconciler.root
    assert choose(registry, root, model_id) is None
    with pytest.raises(RootSuspended):
        choose(registry, replace(root, uuid="another"), model_id)


def test_other_content_is_not_verified_and_a_mark_changes_nothing(world: World) -> None:
    from watcherd.registry import marks

    model_id = world.add("m-1")
    subject = world.subject(model_id)
    marks.pin(world.reconciler.registry, model_id, BY, time.time_ns())
    assert world.conclude(subject, OPENED), "its revision is another, its content is not"
    assert world.row("m-1")["verified"] == 1
    world.saved.write_checkpoint(world.root / PLACE / "m-1", 1)
    reconcile(world.reconciler)
    row = world.row("m-1")
    assert (row["verified"], row["verified_at"]) == (None, None)


REWRITES: dict[str, tuple[Callable[[Path], object], int | None]] = {
    "a byte changed in place": (lambda shard: flip(shard), None),
    "a byte changed in place, and the time set back": (
        lambda shard: replaced(shard, lambda new: flip(new)), None,
    ),
    "a touch": (lambda shard: os.utime(shard), None),
    "a copy in its place": (lambda shard: replaced(shard, lambda new: None), None),
    "other permissions": (lambda shard: shard.chmod(0o600), 1),
    "another name": (
        lambda shard: [
            one.rename(one.with_name(one.name.replace("m-1.", "n-1.")))
            for one in list(shard.parent.glob("m-1.*"))
        ], 1,
    ),
    "a note beside it": (
        lambda shard: shard.with_name("m-1.watcherd.json").write_text('{"note": "so"}'), 1,
    ),
}  # fmt: skip


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes([path.read_bytes()[0] ^ 1]))


def replaced(path: Path, change: Callable[[Path], object]) -> None:
    """By a copy of the same times, as rsync and ``cp -p`` make one."""
    copy = path.with_name("copying")
    shutil.copy2(path, copy)
    change(copy)
    shutil.copystat(path, copy)
    copy.replace(path)


@pytest.mark.parametrize("rewrite", REWRITES)
def test_what_was_said_counts_until_a_file_is_written(world: World, rewrite: str) -> None:
    """A checkpoint's fingerprint is its index's: it says nothing of a shard that was changed."""
    act, verified = REWRITES[rewrite]
    world.conclude(world.subject(world.add("m-1")), OPENED)
    before = world.row("m-1")
    act(world.root / PLACE / "m-1.data-00000-of-00001")
    reconcile(world.reconciler)
    (row,) = rows(world.root)
    assert row["revision"] > before["revision"], "it was seen"
    assert (row["model_id"], row["fingerprint"]) == (before["model_id"], before["fingerprint"])
    assert (row["verified"], bool(row["verified_at"])) == (verified, bool(verified))


def test_what_was_said_before_is_no_news(world: World) -> None:
    subject = world.subject(world.add("m-1"))
    failed, unclear = (
        Proof(answer, "so", "TensorFlow 1.0") for answer in (Answer.FAILED, Answer.UNCLEAR)
    )
    other = replace(OPENED, judge="TensorFlow 2.0")
    said = (OPENED, failed, unclear, replace(unclear, reason="other"), OPENED, other)
    for proof in said:
        assert world.conclude(subject, proof)
        assert world.conclude(subject, proof)
    lines = rows(world.root, "SELECT * FROM history WHERE verb != 'registered'")
    told = [json.loads(line["details"]) for line in lines]
    assert [(one["answer"], one.get("reason"), one["judge"]) for one in told] == [
        (one.answer, one.reason, one.judge) for one in said
    ]


def test_why_a_model_does_not_open_is_known_after_its_history_went(world: World) -> None:
    subject = world.subject(world.add("m-1"))
    failed = Proof(Answer.FAILED, "broken", "TensorFlow 1.0")
    world.conclude(subject, failed)
    registry = world.reconciler.registry
    for later in (1, 2):
        at = time.time_ns() + later * 10**9
        drop_history(registry, at, BY, at, lambda: None)
    with registry.reading() as connection:
        assert why_unverified(connection, world.row("m-1")) == "broken"
    world.conclude(subject, failed)
    verbs = [row["verb"] for row in rows(world.root, "SELECT * FROM history WHERE model_id = 1")]
    assert verbs == [Verb.COMPACTED], "it is no news, either"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("unreadable", "it is unreadable: cut off; save it anew, or remove it (watcherd rm)"),
        ("incomplete", "it is incomplete: cut off; it can be opened when it is whole"),
        ("trashed", "it is trashed; watcherd restore brings it back"),
        ("missing", "it is missing; watcherd history tells since when"),
    ],
)
def test_of_what_is_not_present_it_is_told_why_and_what_to_do(state: str, told: str) -> None:
    assert why_not({"state": state, "reason": "cut off", "format": "h5"}) == told


def test_what_is_asked_about_without_a_name(world: World) -> None:
    ids = [world.add(f"m-{step}") for step in range(4)]
    for model_id, answer in zip(ids, (Answer.OPENED, Answer.FAILED, Answer.UNCLEAR), strict=False):
        assert world.conclude(world.subject(model_id), Proof(answer, answer, "TensorFlow"))
    registry, root_id = world.reconciler.registry, world.reconciler.root.root_id
    assert to_verify(registry, root_id) == ids[2:]
    assert to_verify(registry, root_id, again=True) == ids
    began = world.row("m-2")["verified_at"]
    newest = next_to_verify(registry, root_id, began, NEWEST)
    assert newest is not None
    assert newest.model_id == ids[3]
    assert next_to_verify(registry, root_id, began, newest) is None
    later = next_to_verify(registry, root_id, iso(time.time_ns() + 10**9), newest)
    assert later is not None
    assert later.model_id == ids[2], "once a session"


def test_those_of_one_moment_have_their_turns_too(world: World) -> None:
    ids = [world.add(f"m-{step}") for step in range(3)]
    rewrite(world, changed_at="2026-01-01T00:00:00.000Z")
    place, found = NEWEST, []
    while after := next_to_verify(world.reconciler.registry, 1, "2026", place):
        place = after
        found.append(after.model_id)
    assert found == ids[::-1]


def test_the_next_one_is_found_by_its_index(world: World) -> None:
    query = (
        "EXPLAIN QUERY PLAN SELECT model_id FROM model WHERE root_id = 1 AND "
        "model.state = 'present' AND model.verified IS NULL AND (changed_at, model_id) < ('~', 0) "
        "ORDER BY changed_at DESC, model_id DESC LIMIT 1"
    )
    (step,) = rows(world.root, query)
    assert "USING INDEX model_unverified (changed_at<?)" in step["detail"]


# -- the daemon ------------------------------------------------------------------------------------

NEW = '[watch]\nsettle = "50ms"\n[verify]\nwhen = "new"\n'


def openers_of(daemon: RunningDaemon) -> list[str]:
    asked = ["ps", "--ppid", str(daemon.process.pid), "-o", "args="]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return [line for line in found.splitlines() if "opener.py" in line]


def test_a_daemon_has_opened_what_is_new_and_waits_for_nothing(
    world: World, stand_in: Path, start_daemon: Callable[..., RunningDaemon]
) -> None:
    world.add("slow-1", "time.sleep(1)")
    daemon = start_daemon(world.root, settings=NEW)
    wait_until(lambda: openers_of(daemon))
    world.saved.write_checkpoint(world.root / PLACE / "second-2", 1)
    daemon.wait_for("model.registered")
    assert not daemon.events("model.verified"), "it sleeps still"
    line = daemon.wait_for("model.verified")
    assert (line["path"], line["judge"]) == (f"{PLACE}/slow-1", "TensorFlow 1.0, Keras 2.0")
    assert daemon.stop() == 0
    assert openers_of(daemon) == []


@pytest.mark.long
def test_a_daemon_has_tensorflow_itself_open_what_is_new(
    root: Path, saved: Saved, start_daemon: Callable[..., RunningDaemon]
) -> None:
    saved.write_h5(root / PLACE / "first.h5")
    daemon = start_daemon(root, settings=NEW)
    wait_until(lambda: openers_of(daemon))
    saved.write_h5(root / PLACE / "second.h5", 1)
    wait_until(lambda: len(daemon.events("model.registered")) == 2)
    assert not daemon.events("model.verified"), "TensorFlow takes seconds to start"
    line = daemon.wait_for("model.verified", 40)
    assert (line["path"], line["judge"].split()[0]) == (f"{PLACE}/first.h5", "TensorFlow")
    assert daemon.stop() == 0
    assert openers_of(daemon) == []


def test_it_works_a_tenth_of_the_time_and_another_session_goes_on(
    world: World, stand_in: Path
) -> None:
    """The newest first; what is changing is passed over, and nothing is tried twice."""
    for step in range(3):
        world.add(f"slow-{step}", "time.sleep(0.05)")
    os.utime(world.root / PLACE / "slow-1.meta")
    first, second = turns(world, 2)
    assert [Path(one["path"]).name for one in (first, second)] == ["slow-2", "slow-0"]
    passed = datetime.fromisoformat(second["at"]) - datetime.fromisoformat(first["at"])
    assert passed.total_seconds() > 0.05 + REST * 0.05
    reconcile(world.reconciler)
    (third,) = turns(world, 1)
    assert Path(third["path"]).name == "slow-1"


def test_it_rests_after_what_cannot_be_opened_now_and_passes_it_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is away may be a million models."""
    names = [f"m-{step}" for step in range(3)]
    for name in names:
        world.add(name)
    for name in names:
        os.utime(world.root / PLACE / f"{name}.index")
    monkeypatch.setattr("watcherd.sideline.LEAST", 60.0)
    sideline = Sideline(world.reconciler, Opener("/nowhere/python"), lambda: None)
    for _ in names:
        sideline.turn()
        assert sideline.patience(50.0) == 50.0, "it rests"
        sideline._due = 0.0
        assert sideline.patience(50.0) == 0.0, "there may be more"
    sideline.turn()
    sideline._due = 0.0
    assert sideline.patience(50.0) == 50.0, "there is none"
    sideline.note_news()
    assert sideline.patience(50.0) == 0.0
    sideline.close()


def turns(world: World, count: int) -> list[dict[str, Any]]:
    """The lines of the history about so many models that one session verifies."""
    query = "SELECT path, at FROM history WHERE verb = 'verified' ORDER BY history_id"
    before = len(rows(world.root, query))
    woken = threading.Event()
    sideline = Sideline(world.reconciler, Opener(), woken.set)
    try:
        while len(found := rows(world.root, query)[before:]) < count:
            sideline.turn()
            woken.wait(sideline.patience(5.0))
            woken.clear()
    finally:
        sideline.close()
    return found


@pytest.mark.long
def test_a_daemon_works_a_tenth_of_the_time_and_a_restart_goes_on(
    world: World, stand_in: Path, start_daemon: Callable[..., RunningDaemon]
) -> None:
    world.add("slow-1", "time.sleep(0.2)")
    world.add("slow-2", "time.sleep(0.2)")
    world.add("broken-0", "raise ValueError('so')")
    daemon = start_daemon(world.root, settings=NEW)
    failed = daemon.wait_for("model.unverified")
    assert (failed["path"], failed["reason"]) == (f"{PLACE}/broken-0", "v: ValueError: so")
    first = daemon.wait_for("model.verified")["path"]
    daemon.stop(signal.SIGKILL)
    started = time.monotonic()
    daemon = start_daemon(world.root, settings=NEW)
    second = daemon.wait_for("model.verified")["path"]
    assert {first, second} == {f"{PLACE}/slow-1", f"{PLACE}/slow-2"}
    world.saved.write_checkpoint(world.root / PLACE / "slow-1", 1)
    wait_until(lambda: len(daemon.events("model.verified")) == 2)
    assert time.monotonic() - started > 0.2 + 9 * 0.2
    assert daemon.stop() == 0


def test_a_daemon_without_tensorflow_says_so_once_and_goes_on(
    root: Path, saved: Saved, start_daemon: Callable[..., RunningDaemon]
) -> None:
    saved.write_h5(root / PLACE / "first.h5")
    daemon = start_daemon(root, settings=NEW + 'python = "/nowhere/python"\n')
    assert "/nowhere/python cannot be run" in daemon.wait_for("failure.raised")["error"]
    saved.write_h5(root / PLACE / "second.h5", 1)
    wait_until(lambda: len(daemon.events("model.registered")) == 2)
    assert len(daemon.events("failure.raised")) == 1
    assert daemon.stop() == 0


# -- the script ------------------------------------------------------------------------------------


def test_the_script_runs_in_pythons_as_old_as_keras_2() -> None:
    script = Path(verify.__file__).with_name("opener.py").read_text(encoding="utf-8")
    ast.parse(script, feature_version=(3, 7))
    imported = re.findall(r"^\s*(?:import|from) (\w+)", script, re.MULTILINE)
    assert set(imported) - sys.stdlib_module_names == {"tensorflow", "h5py"}


@needs_strace
@pytest.mark.long
def test_tensorflow_locks_nothing_and_opens_nothing_for_writing(
    root: Path, saved: Saved, tmp_path: Path
) -> None:
    from tests.test_harm import LOCKS, WRITES

    saved.write_h5(root / PLACE / "good.h5")
    saved.write_checkpoint(root / PLACE / "ckpt-1")
    watcherd(root, "reconcile")
    watcherd(root, "verify", within=traced(tmp_path / "trace"))
    calls = concerning(root, tmp_path / "trace")
    assert [call for call in calls if WRITES.search(call) or LOCKS.search(call)] == []

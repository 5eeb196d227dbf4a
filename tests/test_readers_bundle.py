"""What a TensorFlow checkpoint tells: held against TensorFlow's own reader, and against damage."""

import json
import math
import os
import pickle
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests import keras_files as made
from tests.keras_files import STEPS, reading_of, trained
from watcherd.artifact import Role
from watcherd.plan import Description, Format, Outcome, Reading
from watcherd.readers import bundle, crc32c, index, read
from watcherd.readers.index import DTYPES
from watcherd.readers.wire import Malformed, varint


def save_keras_3(prefix: Path) -> None:
    model = trained(made.gru())
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(prefix))


def save_manager(prefix: Path) -> None:
    """As ``CheckpointManager`` names it; moved to the prefix that the tests know."""
    model = trained(made.dense())
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, step=tf.Variable(3))
    saved = Path(tf.train.CheckpointManager(checkpoint, str(prefix.parent), 2).save())
    for part in prefix.parent.glob(f"{saved.name}.*"):
        part.rename(prefix.parent / part.name.replace(saved.name, prefix.name))


def save_keras_2_weights(prefix: Path, legacy: bool = False) -> None:
    import tf_keras

    kinds = tf_keras.optimizers.legacy if legacy else tf_keras.optimizers
    model = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(4,))])
    model.compile(kinds.Adam(0.002), "mse", metrics=["mae"])
    model.train_on_batch(tf.zeros((2, 4)), tf.zeros((2, 3)))
    model.save_weights(str(prefix))


def save_padded(prefix: Path) -> None:
    """As ``pad_step_number`` names it; moved to the prefix that the tests know."""
    made.save_by_saver(prefix.with_name("padded"), padded=True)
    for part in prefix.parent.glob(f"padded-{STEPS:08d}.*"):
        part.rename(part.with_name(part.name.replace(f"padded-{STEPS:08d}", prefix.name)))


def save_every_dtype(prefix: Path) -> None:
    numbers = [name for name, _, _ in DTYPES.values() if name != "string"]
    tensors = {name: tf.cast(tf.ones((2, 3)), name) for name in numbers}
    texts = {"string": tf.constant(["a", "bc"])}
    shapes = {"scalar": tf.constant(1.5), "empty": tf.zeros((0, 4))}
    made.save_tensors(prefix, tensors | texts | shapes)


def save_hundreds(prefix: Path) -> None:
    model = trained(made.many_layers())
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(prefix))


SAVES: dict[str, Callable[[Path], None]] = {
    "tf.train.Checkpoint of Keras 3": save_keras_3,
    "CheckpointManager": save_manager,
    "Saver": made.save_by_saver,
    "Saver, 3 shards": made.save_in_shards,
    "Saver, partitioned variables": lambda prefix: made.save_by_saver(prefix, partitions=3),
    "Saver, padded steps": save_padded,
    "save_weights of Keras 2": save_keras_2_weights,
    "save_weights of Keras 2, legacy optimizer": lambda p: save_keras_2_weights(p, legacy=True),
    "every dtype": save_every_dtype,
    "more than 500 variables": save_hundreds,
}


@pytest.fixture(scope="module", params=SAVES)
def prefix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each kind of checkpoint, saved for real."""
    found = tmp_path_factory.mktemp("checkpoint") / "model.ckpt"
    SAVES[request.param](found)
    return found


@pytest.fixture(scope="module")
def three_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    made.save_in_shards(folder / "model.ckpt")
    return folder


@pytest.fixture
def sharded(three_shards: Path, tmp_path: Path) -> Path:
    """A checkpoint of three shards."""
    shutil.copytree(three_shards, tmp_path, dirs_exist_ok=True)
    return tmp_path / "model.ckpt"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A checkpoint of one shard, with an optimizer."""
    model = trained(made.dense())
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "m.ckpt"))
    return tmp_path / "m.ckpt"


def reading_at(prefix: Path) -> Reading:
    return reading_of(prefix.parent, prefix.name)


def described(prefix: Path) -> Description:
    reading = reading_at(prefix)
    assert reading.outcome is Outcome.COMPLETE, reading.reason
    return reading.description


def index_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


def shard_of(prefix: Path, shard: int = 0, shards: int = 1) -> Path:
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")


# --- held against TensorFlow --------------------------------------------------------------------


def test_variables_are_those_that_tensorflow_lists(prefix: Path) -> None:
    contents = index.parse(index_of(prefix).read_bytes())
    reader = tf.train.load_checkpoint(str(prefix))
    dtypes = reader.get_variable_to_dtype_map()
    theirs = {
        name: (dtypes[name].as_datatype_enum, math.prod(shape))
        for name, shape in tf.train.list_variables(str(prefix))
    }
    assert {v.name: (v.dtype, v.elements) for v in contents.variables.values()} == theirs


def test_a_checkpoint_is_complete_and_counts_its_variables(prefix: Path) -> None:
    reading = reading_at(prefix)
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.CHECKPOINT), (
        reading.reason
    )
    assert reading.description.variables == len(tf.train.list_variables(str(prefix)))


def test_shards_must_be_as_long_as_they_are(prefix: Path) -> None:
    contents = index.parse(index_of(prefix).read_bytes())
    sizes = [
        shard_of(prefix, shard, contents.shards).stat().st_size for shard in range(contents.shards)
    ]
    assert [contents.extents[shard] for shard in range(contents.shards)] == sizes


def test_blocks_may_be_compressed_by_snappy(prefix: Path, tmp_path: Path) -> None:
    plain = index_of(prefix).read_bytes()
    packed = tmp_path / "packed.ckpt"
    index_of(packed).write_bytes(made.with_snappy(plain))
    assert len(index_of(packed).read_bytes()) != len(plain)
    assert tf.train.list_variables(str(packed)) == tf.train.list_variables(str(prefix))
    assert index.parse(index_of(packed).read_bytes()) == index.parse(plain)


def test_what_tensorflow_refuses_is_never_complete(small: Path) -> None:
    """Each byte of an index, changed alone."""
    whole = index_of(small).read_bytes()
    refused = 0
    for place in range(len(whole)):
        index_of(small).write_bytes(
            whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        )
        try:
            tf.train.list_variables(str(small))
        except (tf.errors.OpError, IndexError, RuntimeError, ValueError):
            refused += 1
            assert reading_at(small).outcome is not Outcome.COMPLETE, place
    assert refused > len(whole) / 2


# --- what it tells of the model -----------------------------------------------------------------

OPTIMIZERS = ["Adam", "AdamW", "SGD", "RMSprop", "Nadam", "Adagrad", "Adadelta", "Ftrl", "Lion"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keras_3_models_tell_parameters_step_and_optimizer(name: str, tmp_path: Path) -> None:
    model = trained(made.gru(), getattr(keras.optimizers, name)(0.003))
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "ckpt"))
    told = described(tmp_path / "ckpt")
    assert told.parameters == model.count_params()
    assert (told.step, told.dtype) == (STEPS, "float32")
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == (name, 0.003)


@pytest.mark.parametrize("legacy", [False, True], ids=["2.11 optimizer", "2.10 optimizer"])
def test_keras_2_weights_tell_the_same(legacy: bool, tmp_path: Path) -> None:
    save_keras_2_weights(tmp_path / "ckpt", legacy)
    told = described(tmp_path / "ckpt")
    assert (told.parameters, told.step) == (15, 1)
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", 0.002)
    if legacy:
        settings = {"beta_1": 0.9, "beta_2": 0.999, "decay": 0.0, "learning_rate": 0.002}
        assert json.loads(told.optimizer.config) == settings


def test_a_saver_tells_the_global_step_and_whose_slots_there_are(tmp_path: Path) -> None:
    made.save_by_saver(tmp_path / "ckpt", partitions=2)
    told = described(tmp_path / "ckpt")
    assert (told.parameters, told.step) == (3 * 6 * 4, STEPS)
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", None)


SLOTS_OF_TF1: dict[str, Callable[[Any], Any]] = {
    "Adam": lambda train: train.AdamOptimizer(),
    "SGD": lambda train: train.MomentumOptimizer(0.1, 0.9),
    "RMSprop": lambda train: train.RMSPropOptimizer(0.1),
    "Adagrad": lambda train: train.AdagradOptimizer(0.1),
    "Adadelta": lambda train: train.AdadeltaOptimizer(0.1),
    "Ftrl": lambda train: train.FtrlOptimizer(0.1),
    "none": lambda train: train.GradientDescentOptimizer(0.1),
}


@pytest.mark.parametrize("kind", SLOTS_OF_TF1)
def test_the_slots_of_tensorflow_1_are_no_parameters(kind: str, tmp_path: Path) -> None:
    made.save_by_saver(tmp_path / "ckpt", optimizer=SLOTS_OF_TF1[kind](tf.compat.v1.train))
    told = described(tmp_path / "ckpt")
    assert (told.parameters, told.step) == (3 * 6 * 4, STEPS)
    assert (told.optimizer.optimizer_type if told.optimizer else "none") == kind


def test_what_a_stateful_layer_remembers_is_no_parameter(tmp_path: Path) -> None:
    layers = keras.layers
    stateful = [layers.Input(batch_shape=(4, 6, 3)), layers.LSTM(4, stateful=True)]
    model = keras.Sequential([*stateful, layers.Dense(1)])
    model(tf.zeros((4, 6, 3)))
    tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    assert any("/states/" in name for name, _ in tf.train.list_variables(str(tmp_path / "ckpt")))
    assert described(tmp_path / "ckpt").parameters == model.count_params()


def test_behind_loss_scaling_the_optimizer_that_learns_is_told(tmp_path: Path) -> None:
    model = trained(made.under_policy("mixed_float16")())
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "ckpt"))
    told = described(tmp_path / "ckpt")
    assert (told.parameters, told.step) == (model.count_params(), STEPS)
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", 0.001)


def test_of_two_optimizers_none_is_told(tmp_path: Path) -> None:
    one, other = trained(made.dense()), trained(made.dense())
    tf.train.Checkpoint(a=one.optimizer, b=other.optimizer).write(str(tmp_path / "ckpt"))
    assert described(tmp_path / "ckpt").optimizer is None
    assert described(tmp_path / "ckpt").step == STEPS


def test_a_name_that_people_gave_an_optimizer_is_no_type(tmp_path: Path) -> None:
    model = trained(made.dense(), keras.optimizers.Adam(name="slow_and_steady"))
    tf.train.Checkpoint(optimizer=model.optimizer).write(str(tmp_path / "ckpt"))
    assert described(tmp_path / "ckpt").optimizer is None


def int64(value: int) -> Any:
    return tf.Variable(value, dtype="int64")


STEP_VARIABLES: dict[str, tuple[dict[str, Any], int | None]] = {
    "save_counter counts saves": ({}, None),
    "step": ({"step": int64(40)}, 40),
    "global_step before step": ({"step": int64(40), "global_step": int64(41)}, 41),
    "a counter that never moved gives way": ({"step": int64(40), "global_step": int64(0)}, 40),
    "none has moved": ({"step": int64(0)}, 0),
    "a step that is a float": ({"step": tf.Variable(12.0)}, 12),
    "a step that can be none": ({"step": tf.Variable(float("nan"))}, None),
    "a step below zero": ({"step": int64(-1)}, None),
    "a step of many numbers": ({"step": tf.Variable([1, 2])}, None),
}


@pytest.mark.parametrize("kind", STEP_VARIABLES)
def test_steps_are_told_by_what_counts_training(kind: str, tmp_path: Path) -> None:
    variables, expected = STEP_VARIABLES[kind]
    saved = tf.train.Checkpoint(weights=tf.Variable([1.0, 2.0]), **variables).save(
        str(tmp_path / "ckpt")
    )
    told = described(Path(saved))
    assert (told.step, told.parameters) == (expected, 2)


def test_the_dtype_is_a_float_where_there_is_one(tmp_path: Path) -> None:
    ids, weights = tf.zeros(1000, "int64"), tf.zeros(3, "bfloat16")
    made.save_tensors(tmp_path / "both", {"ids": ids, "weights": weights})
    made.save_tensors(tmp_path / "ids", {"ids": ids})
    assert described(tmp_path / "both").dtype == "bfloat16"
    assert described(tmp_path / "ids").dtype == "int64"


# --- whether all of it is there -----------------------------------------------------------------


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_missing_shard_is_named(shard: int, sharded: Path) -> None:
    shard_of(sharded, shard, 3).unlink()
    reading = reading_at(sharded)
    assert reading.outcome is Outcome.INCOMPLETE
    assert f"shard {shard + 1} of 3 is missing" in (reading.reason or "")
    assert shard_of(sharded, shard, 3).name in (reading.reason or "")
    assert reading.description.parameters == 3 * 6 * 4  # the index is enough for that


def test_many_missing_shards_are_counted(sharded: Path) -> None:
    for shard in range(3):
        shard_of(sharded, shard, 3).unlink()
    assert "3 of 3 shards are missing" in (reading_at(sharded).reason or "")


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_shard_one_byte_short_is_named(shard: int, sharded: Path) -> None:
    short = shard_of(sharded, shard, 3)
    size = short.stat().st_size
    os.truncate(short, size - 1)
    reading = reading_at(sharded)
    assert reading.outcome is Outcome.INCOMPLETE
    assert short.name in (reading.reason or "")
    assert f"{size - 1:,} of the {size:,} bytes" in (reading.reason or "")


def test_a_git_lfs_pointer_in_place_of_an_index_is_named(small: Path) -> None:
    index_of(small).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    reading = reading_at(small)
    assert reading.outcome is Outcome.UNREADABLE
    assert "m.ckpt.index is a git-lfs pointer" in (reading.reason or "")


def test_shards_of_an_earlier_save_do_no_harm(sharded: Path) -> None:
    shard_of(sharded, 0, 1).write_bytes(b"another save")
    assert reading_at(sharded).outcome is Outcome.COMPLETE


@pytest.mark.parametrize("temporary", ["_temp", "_temp_0123456789abcdef0123456789abcdef"])
def test_a_save_under_way_is_incomplete(temporary: str, small: Path) -> None:
    small.with_name(small.name + temporary).mkdir()
    reading = reading_at(small)
    assert reading.outcome is Outcome.INCOMPLETE
    assert temporary in (reading.reason or "")


@pytest.mark.parametrize("left", ["shards", "graph"])
def test_without_an_index_it_is_incomplete(left: str, sharded: Path) -> None:
    index_of(sharded).unlink()
    if left == "graph":
        for shard in range(3):
            shard_of(sharded, shard, 3).unlink()
    reading = reading_at(sharded)
    assert (reading.outcome, reading.fingerprint) == (Outcome.INCOMPLETE, None)
    assert "model.ckpt.index is missing" in (reading.reason or "")


def test_every_truncation_of_an_index_is_incomplete(small: Path) -> None:
    whole = index_of(small).read_bytes()
    for size in range(len(whole)):
        index_of(small).write_bytes(whole[:size])
        assert reading_at(small).outcome is Outcome.INCOMPLETE, size


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b"", Outcome.INCOMPLETE),
        (bytes(4096), Outcome.INCOMPLETE),
        (b"\x89HDF\r\n\x1a\n" * 100, Outcome.INCOMPLETE),
        (bytes(40) + bytes.fromhex("57fb808b247547db"), Outcome.UNREADABLE),
        (b"\xff" * 40 + bytes.fromhex("57fb808b247547db"), Outcome.UNREADABLE),
    ],
    ids=["nothing", "zeros", "something else", "only a footer", "a footer to nowhere"],
)
def test_an_index_that_is_none(content: bytes, outcome: Outcome, small: Path) -> None:
    index_of(small).write_bytes(content)
    reading = reading_at(small)
    assert reading.outcome is outcome, reading.reason
    assert "m.ckpt.index" in (reading.reason or "")


FLOAT_OF_3 = b"\x08\x01\x12\x04\x12\x02\x08\x03"  # dtype float32, shape [3]
MALFORMED: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    "no header": ((b"a", FLOAT_OF_3 + b"\x28\x0c"),),
    "no shards": ((b"", b"\x08\x00"),),
    "more shards than have names": ((b"", b"\x08" + made.packed_varint(100_000)),),
    "a shard that there is not": (made.HEADER, (b"a", FLOAT_OF_3 + b"\x18\x01\x28\x0c")),
    "keys out of order": (made.HEADER, (b"b", b""), (b"a", b"")),
    "a key twice": (made.HEADER, (b"a", b""), (b"a", b"")),
    "a size that is not the shape's": (made.HEADER, (b"a", FLOAT_OF_3 + b"\x28\x0b")),
    "an offset behind every file": (
        made.HEADER,
        (b"a", FLOAT_OF_3 + b"\x28\x0c\x20" + made.packed_varint(2**63 - 5)),
    ),
    "more elements than can be": (
        made.HEADER,
        (b"a", b"\x12\x12" + 2 * (b"\x12\x07\x08" + made.packed_varint(2**40))),
    ),
    "an entry cut off": (made.HEADER, (b"a", FLOAT_OF_3 + b"\x35\x00")),
    "a shape cut off": (made.HEADER, (b"a", b"\x12\x09\x12")),
}


def test_a_sound_index_is_built_here_too(small: Path) -> None:
    index_of(small).write_bytes(made.index_of(made.HEADER, (b"a", FLOAT_OF_3 + b"\x28\x0c")))
    assert tf.train.list_variables(str(small)) == [("a", [3])]
    assert described(small).parameters == 3


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_table_that_is_no_index_is_unreadable(fault: str, small: Path) -> None:
    index_of(small).write_bytes(made.index_of(*MALFORMED[fault]))
    reading = reading_at(small)
    assert reading.outcome is Outcome.UNREADABLE
    assert "m.ckpt.index is damaged" in (reading.reason or "")


def test_data_of_another_save_beside_an_old_index_is_noticed(small: Path) -> None:
    """TensorFlow renames the new data first: a save broken off there leaves this."""
    old = index_of(small).read_bytes()
    model = trained(made.dense())
    model.optimizer.iterations.assign(STEPS + 1)
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(small))
    index_of(small).write_bytes(old)
    reading = reading_at(small)
    assert reading.outcome is Outcome.UNREADABLE
    assert "does not fit the index" in (reading.reason or "")


def test_what_is_lacking_is_decided_without_a_disk(sharded: Path) -> None:
    contents = index.parse(index_of(sharded).read_bytes())
    whole = made.artifact_at(sharded.parent, sharded.name)
    assert bundle.lacking(whole, contents) is None
    for part in whole.parts:
        fewer = replace(whole, parts=tuple(other for other in whole.parts if other != part))
        assert (bundle.lacking(fewer, contents) is None) == (part.role is not Role.SHARD)


# --- what changes, what cannot be looked at -----------------------------------------------------


def test_an_index_overwritten_while_its_shards_are_read_is_noticed(small: Path) -> None:
    script = f"""
        import os, pickle, sys
        from watcherd.readers import bundle, read
        artifact = pickle.loads(sys.stdin.buffer.read())
        def overwrite(event, args):
            if event == "open" and ".data-" in str(args[0]):
                os.utime({str(index_of(small))!r})
        sys.addaudithook(overwrite)
        print(read({str(small.parent)!r}, artifact).outcome)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        input=pickle.dumps(made.artifact_at(small.parent, small.name)),
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == b"changed\n"


@pytest.mark.parametrize("member", ["index", "shard"])
def test_a_member_other_than_scanned_has_changed(member: str, small: Path) -> None:
    path = index_of(small) if member == "index" else shard_of(small)
    artifact = made.artifact_at(small.parent, small.name)
    os.utime(path)
    assert read(str(small.parent), artifact).outcome is Outcome.CHANGED
    path.unlink()
    assert read(str(small.parent), artifact).outcome is Outcome.CHANGED


@pytest.mark.parametrize("member", ["index", "shard"])
def test_a_member_that_may_not_be_read_denies_the_whole(member: str, small: Path) -> None:
    (index_of(small) if member == "index" else shard_of(small)).chmod(0)
    small.parent.chmod(0o755)
    script = f"""
        import os, pickle, sys
        from watcherd.readers import bundle, read
        artifact = pickle.loads(sys.stdin.buffer.read())
        os.chdir({str(small.parent)!r})
        if os.geteuid() == 0:  # root may read anything
            os.seteuid(65534)
        reading = read(".", artifact)
        print(reading.outcome, reading.reason)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        input=pickle.dumps(made.artifact_at(small.parent, small.name)),
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(b"denied no permission")


def test_equal_content_has_an_equal_fingerprint_under_any_prefix(small: Path) -> None:
    mark = reading_at(small).fingerprint
    for part in list(small.parent.iterdir()):
        part.rename(part.with_name(part.name.replace("m.ckpt", "best-12")))
    assert reading_at(small.with_name("best-12")).fingerprint == mark


def test_training_on_changes_the_fingerprint(tmp_path: Path) -> None:
    model = trained(made.dense())
    marks = []
    for number in range(2):
        tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
        marks.append(reading_at(tmp_path / "ckpt").fingerprint)
        model.set_weights([weight + number + 1 for weight in model.get_weights()])
    assert marks[0] != marks[1]


# --- bytes --------------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_varint_is_read_back(value: int, rest: bytes) -> None:
    packed = made.packed_varint(value)
    assert varint(packed + rest, 0) == (value, len(packed))


@given(st.binary(max_size=30))
def test_a_varint_of_any_bytes_is_one_or_malformed(data: bytes) -> None:
    try:
        value, at = varint(data, 0)
    except Malformed:
        return
    assert value >= 0
    assert 0 < at <= len(data)


@pytest.mark.parametrize("size", [1, 8, 1000, 65_535, 65_536, 65_537, 200_000])
def test_a_checksum_is_that_of_tensorflow(size: int, tmp_path: Path) -> None:
    content = random.Random(size).randbytes(size)
    made.save_tensors(tmp_path / "ckpt", {"bytes": tf.io.decode_raw(content, tf.uint8)})
    variable = index.parse(index_of(tmp_path / "ckpt").read_bytes()).variables["bytes"]
    assert crc32c.masked(content) == variable.checksum


def test_a_checksum_is_that_of_the_standard() -> None:
    """RFC 3720 appendix B.4: 32 bytes of zeros have 0x8a9136aa."""
    crc = 0x8A9136AA
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert crc32c.masked(bytes(32)) == (rotated + 0xA282EAD8) & 0xFFFFFFFF


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """The index with some bytes changed, and most often checksums that fit again."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 2, 8, 30))):
        place = chance.randrange(len(content) - 8)
        content[place : place + chance.choice((1, 2, 4))] = chance.choice(
            [chance.randbytes(1), b"\xff\xff", bytes(4), content[place - 8 : place - 4]]
        )
    if chance.random() < 0.05:
        del content[chance.randrange(len(content)) :]
    return made.with_checksums(bytes(content)) if chance.random() < 0.8 else bytes(content)


def test_no_damage_is_more_than_an_outcome(small: Path, sharded: Path) -> None:
    originals = {prefix: index_of(prefix).read_bytes() for prefix in (small, sharded)}
    seen = set()
    for seed in range(400):
        chance = random.Random(seed)
        prefix = chance.choice(list(originals))
        index_of(prefix).write_bytes(damaged(originals[prefix], chance))
        reading = reading_at(prefix)
        seen.add(reading.outcome)
        assert (reading.reason is None) == (reading.outcome is Outcome.COMPLETE), seed
    assert seen == {Outcome.COMPLETE, Outcome.INCOMPLETE, Outcome.UNREADABLE}


def test_keys_that_share_prefixes_cannot_grow_without_end(tmp_path: Path) -> None:
    """Each key is the whole key before it and one byte more: n entries need n * n / 2 bytes."""
    index_of(tmp_path / "ckpt").write_bytes(made.growing_index(50_000))
    assert reading_at(tmp_path / "ckpt").outcome is Outcome.UNREADABLE

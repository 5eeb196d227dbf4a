"""Builders of real files: what Keras and TensorFlow save, as the readers' tests need it."""

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import h5py
import keras
import numpy as np
import tensorflow as tf

from watcherd.artifact import Artifact, FileFact, Form, Part, Role, fact_from
from watcherd.plan import Reading
from watcherd.readers import crc32c, read, table
from watcherd.readers.wire import Malformed, varint

STEPS = 7
"""What the optimizers of these models say they were trained."""


def fact_of(path: Path) -> FileFact:
    return fact_from(os.lstat(path))


def artifact_at(root: Path, path: str) -> Artifact:
    """The artifact of an HDF5 file, or of all files with a checkpoint prefix."""
    if (root / path).is_file() or not list((root / path).parent.glob("*")):
        return Artifact(path, Form.HDF5, (Part(Role.H5, path, fact_of(root / path)),))
    prefix = (root / path).name
    members = sorted((root / path).parent.iterdir())
    parts = [
        Part(role, str(member.relative_to(root)), fact_of(member))
        for member in members
        if member.name.startswith(prefix) and (role := _role(member.name[len(prefix) :]))
    ]
    return Artifact(path, Form.CHECKPOINT, tuple(parts))


def reading_of(root: Path, path: str) -> Reading:
    return read(str(root), artifact_at(root, path))


def _role(suffix: str) -> Role | None:
    if suffix in (".index", ".meta"):
        return Role.INDEX if suffix == ".index" else Role.GRAPH
    if suffix.startswith(".data-"):
        return Role.SHARD
    return Role.TEMPORARY if suffix.startswith("_temp") else None


def trained(model: Any, optimizer: Any = "adam", **settings: Any) -> Any:
    """The model, compiled, its optimizer's variables made and its steps counted."""
    model.compile(optimizer, **{"loss": "mse", "metrics": ["mae"], **settings})
    model.optimizer.build(model.trainable_variables)
    innermost = model.optimizer
    while hasattr(innermost, "inner_optimizer"):
        innermost = innermost.inner_optimizer
    innermost.iterations.assign(STEPS)
    return model


def dense() -> Any:
    layers = keras.layers
    return keras.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(1)])


def lstm() -> Any:
    """With its optimizer's state, 23 datasets in a file."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((60, 8)),
            layers.LSTM(32, return_sequences=True),
            layers.LSTM(16),
            layers.Dense(1, use_bias=False),
        ]
    )


def gru() -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((24, 5)),
            layers.Bidirectional(layers.GRU(6, return_sequences=True)),
            layers.Dropout(0.2),
            layers.GRU(4),
            layers.BatchNormalization(),
            layers.Dense(2, "softmax"),
        ]
    )


def convolution() -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((48, 5)),
            layers.Conv1D(8, 3, strides=2, padding="causal"),
            layers.MaxPooling1D(2),
            layers.SeparableConv1D(6, 3),
            layers.LSTM(4, return_sequences=True),
            layers.TimeDistributed(layers.Dense(3)),
            layers.Flatten(),
            layers.Dense(2),
            layers.Reshape((2, 1)),
        ]
    )


def two_inputs() -> Any:
    """Functional: two inputs and outputs, an operation, a model within."""
    layers = keras.layers
    prices, volume = keras.Input((12, 4), name="prices"), keras.Input((3,), name="volume")
    inner = keras.Sequential([layers.Input((12, 4)), layers.LSTM(5)], name="inner")
    joined = layers.Concatenate()([inner(prices), volume])
    scaled = layers.Dense(6, name="hidden")(joined) * 2.0
    up, size = layers.Dense(1, name="up")(scaled), layers.Dense(2, name="size")(scaled)
    return keras.Model([prices, volume], [up, size])


def many_layers(count: int = 90) -> Any:
    inputs = keras.Input((4,))
    outputs = inputs
    for _ in range(count):
        outputs = keras.layers.Dense(4)(outputs)
    return keras.Model(inputs, outputs)


def long_names() -> Any:
    """Names that together exceed what HDF5 holds in one attribute, so that Keras splits them."""
    layers = [keras.layers.Dense(2, name=f"layer_{number}_{'x' * 1700}") for number in range(40)]
    return keras.Sequential([keras.layers.Input((2,)), *layers])


def under_policy(policy: str) -> Callable[[], Any]:
    def build() -> Any:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return dense()
        finally:
            keras.config.set_dtype_policy(before)

    return build


@keras.saving.register_keras_serializable("Forecast")
class Registered(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """A layer of people's own, known to Keras under a package."""

    def call(self, inputs: Any) -> Any:
        return inputs


class Unregistered(Registered):
    """A layer of people's own that only ``custom_objects`` can bring back."""


def with_custom_layers() -> Any:
    layers = keras.layers
    return keras.Sequential([layers.Input((4,)), Registered(), Unregistered(), layers.Dense(1)])


class Subclassed(keras.Model):  # type: ignore[misc]  # Keras is untyped
    """A model in Python code; Keras saves only its weights, under its attributes' names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = keras.layers.Dense(3)
        self.normal = keras.layers.BatchNormalization()
        self.rest = [keras.layers.Dropout(0.3), keras.layers.Dense(1)]

    def call(self, inputs: Any) -> Any:
        outputs = self.normal(self.first(inputs))
        for layer in self.rest:
            outputs = layer(outputs)
        return outputs


def subclassed() -> Any:
    model = Subclassed()
    model.build((None, 4))
    return model


def rewritten(source: Path, target: Path, attributes: dict[str, Any]) -> Path:
    """A copy of an HDF5 file with other root attributes; None removes one."""
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        for name, value in attributes.items():
            if name in file.attrs:
                del file.attrs[name]
            if value is not None:
                file.attrs[name] = value
    return target


def tensors_by_h5py(path: Path, group: str = "/") -> list[tuple[int, str]]:
    """Elements and dtype of every dataset below a group, by the C library."""
    found: list[tuple[int, str]] = []

    def note(_: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset):
            found.append((int(np.prod(member.shape)), member.dtype.name))

    with h5py.File(path, "r", locking=False) as file:
        file[group].visititems(note)
    return found


def save_by_saver(
    prefix: Path, *, partitions: int = 1, optimizer: Any = None, padded: bool = False
) -> None:
    """A name-based checkpoint with an optimizer's slots, its global step at STEPS."""
    v1 = tf.compat.v1
    split = v1.fixed_size_partitioner(partitions) if partitions > 1 else None
    with tf.Graph().as_default(), v1.Session() as session:
        for number in range(3):
            v1.get_variable(f"layer_{number}/kernel", (6, 4), partitioner=split)
        step = v1.train.get_or_create_global_step()
        loss = tf.add_n([tf.reduce_sum(each) for each in v1.trainable_variables()])
        (optimizer or v1.train.AdamOptimizer()).minimize(loss, global_step=step)
        session.run(v1.global_variables_initializer())
        session.run(step.assign(STEPS))
        saver = v1.train.Saver(pad_step_number=padded)
        saver.save(session, str(prefix), global_step=step if padded else None)


def save_in_shards(prefix: Path, shards: int = 3) -> None:
    """A Saver's sharded checkpoint: one shard for each task that holds variables."""
    v1 = tf.compat.v1
    tasks = [f"localhost:{port}" for port in _free_ports(shards)]
    cluster = tf.train.ClusterSpec({"ps": tasks})
    servers = [tf.distribute.Server(cluster, "ps", task) for task in range(shards)]
    with tf.Graph().as_default(), v1.Session(servers[0].target) as session:
        for task in range(shards):
            with tf.device(f"/job:ps/task:{task}/cpu:0"):
                v1.get_variable(f"layer_{task}/kernel", (6, 4))
        session.run(v1.global_variables_initializer())
        v1.train.Saver(sharded=True).save(session, str(prefix))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in held]


def save_tensors(prefix: Path, tensors: dict[str, Any]) -> None:
    """A name-based checkpoint of just these tensors."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.convert_to_tensor(value) for value in tensors.values()],
    )


def with_snappy(index: bytes) -> bytes:
    """The same index with its data block compressed, as TensorFlow 1.13 to 2.14 wrote some."""
    start, size = _data_block(index)
    return _table(bytes(cramjam.snappy.compress_raw(index[start : start + size])), b"\x01")


def with_checksums(index: bytes) -> bytes:
    """The index with checksums that fit its blocks again, as far as it still names them."""
    content = bytearray(index)
    try:
        places = [_handles(index[-table.FOOTER :])[1], _data_block(index)]
    except (IndexError, Malformed):
        return index
    for start, size in places:
        end = start + size + 1
        content[end : end + 4] = struct.pack("<I", crc32c.masked(bytes(content[start:end])))
    return bytes(content)


HEADER = (b"", b"\x08\x01")
"""Of one shard, little endian."""


def index_of(*rows: tuple[bytes, bytes]) -> bytes:
    """An index of these keys and values, sound as a table; keys share no prefixes."""
    lengths = ((packed_varint(len(key)), packed_varint(len(value))) for key, value in rows)
    entries = (
        b"\0" + key_length + value_length + key + value
        for (key_length, value_length), (key, value) in zip(lengths, rows, strict=True)
    )
    return _table(b"".join(entries) + struct.pack("<II", 0, 1), b"\0")


def growing_index(count: int) -> bytes:
    """An index of so many keys, each the one before and one byte more."""
    first = b"\0\0\x02\x08\x01\0\x01\0a"
    rest = b"".join(packed_varint(length) + b"\x01\0a" for length in range(1, count))
    return _table(first + rest + struct.pack("<II", 0, 1), b"\0")


def packed_varint(value: int) -> bytes:
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*pieces, value])


def _table(block: bytes, compression: bytes) -> bytes:
    """A table of one data block."""
    data = _sealed(block + compression)
    handle = packed_varint(0) + packed_varint(len(block))
    entry = b"\0\x01" + packed_varint(len(handle)) + b"~" + handle
    above = entry + struct.pack("<II", 0, 1)
    ends = b"\0\0" + packed_varint(len(data)) + packed_varint(len(above))
    footer = ends.ljust(table.FOOTER - len(table.MAGIC), b"\0") + table.MAGIC
    return data + _sealed(above + b"\0") + footer


def _sealed(block: bytes) -> bytes:
    return block + struct.pack("<I", crc32c.masked(block))


def _handles(footer: bytes) -> list[tuple[int, int]]:
    """The places of the index of block names that nobody uses, and of the index block."""
    at, handles = 0, []
    for _ in range(2):
        offset, at = varint(footer, at)
        size, at = varint(footer, at)
        handles.append((offset, size))
    return handles


def _data_block(index: bytes) -> tuple[int, int]:
    """The place of the first data block: the index block's first entry names it."""
    _, (place, size) = _handles(index[-table.FOOTER :])
    block = index[place : place + size]
    _, at = varint(block, 0)
    key, at = varint(block, at)
    _, at = varint(block, at)
    offset, at = varint(block, at + key)
    return offset, varint(block, at)[0]

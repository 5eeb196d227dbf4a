"""SavedModels: a folder with the graphs, their variables as a checkpoint, and assets.

``saved_model.proto`` and what it nests. TensorFlow writes ``variables/`` first, then
``saved_model.pb``, then ``fingerprint.pb``; Keras 2 adds what it knows of its layers.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from watcherd.artifact import Artifact, Form, Part, Role
from watcherd.plan import Description, Format, Outcome, Reading
from watcherd.readers import bundle, canonical, keras_config
from watcherd.readers.source import GIT_LFS, POINTER, Incomplete, Source, Unreadable, opened
from watcherd.readers.wire import BYTES, VARINT, Malformed, integer, nested, varint

GRAPH_LIMIT = 64 << 20
"""Bytes of a ``saved_model.pb`` that is looked into; what is larger holds constants, and is told
only whether it is whole."""
_FIELDS_LIMIT = 100
"""Graphs in one SavedModel, and then some: one for each set of tags."""
_VARINT_BYTES = 10
_META_GRAPHS, _SAVER, _OBJECTS = 2, 3, 7
_NODES, _USER_OBJECT, _IDENTIFIER, _METADATA = 1, 4, 1, 3
_SAVED_ID, _SAVED_IDENTIFIER, _SAVED_METADATA = 2, 4, 5
"""Fields of SavedModel; MetaGraphDef; SavedObjectGraph, SavedObject, SavedUserObject; and those of
Keras' ``saved_metadata.proto``."""
_KERAS = b"_tf_keras_"


@dataclass(frozen=True, slots=True)
class _Graphs:
    """What ``saved_model.pb`` tells."""

    has_variables: bool = False
    metadata: bytes = b""
    """Keras' JSON about the model, where it stands in here (TensorFlow 2.0 to 2.4)."""


def read(root: str, artifact: Artifact, source: Source) -> Reading:
    """What a SavedModel tells; ``source`` is its graphs, or the index of its variables.

    Raises Incomplete and Unreadable for a fault of their content; Changed and OSError as
    ``source.opened`` does.
    """
    variables = _part(artifact, Role.INDEX)
    if artifact.head == variables:
        return _reading(_read_variables(root, artifact, source), _no_graphs())
    graphs = _read_graphs(source, artifact)
    held = Reading(Outcome.COMPLETE)
    fault = None
    if variables:
        with opened(root, variables) as index:
            held = _read_variables(root, artifact, index)
            index.check()
    elif graphs.has_variables or _part(artifact, Role.SHARD):
        fault = "variables/variables.index is missing: what was trained cannot be restored"
    metadata = _read_keras_metadata(root, artifact) or graphs.metadata
    return _reading(replace(held, description=_with_keras(held.description, metadata)), fault)


def _reading(variables: Reading, fault: str | None) -> Reading:
    """The SavedModel's reading, from its variables' and what else is wrong with it."""
    reason = fault or variables.reason
    outcome = Outcome.INCOMPLETE if fault else variables.outcome
    return Reading(outcome, Format.SAVED_MODEL, reason, description=variables.description)


def _no_graphs() -> str:
    return (
        "saved_model.pb is missing, which TensorFlow writes after the variables: the save is under"
        " way, was broken off, or the file was deleted"
    )


def _part(artifact: Artifact, role: Role) -> Part | None:
    return next((part for part in artifact.parts if part.role is role), None)


def _read_variables(root: str, artifact: Artifact, index: Source) -> Reading:
    """As the checkpoint that they are."""
    kept = (Role.INDEX, Role.SHARD, Role.TEMPORARY)
    parts = tuple(part for part in artifact.parts if part.role in kept)
    prefix = next(part.path for part in parts if part.role is Role.INDEX).removesuffix(".index")
    return bundle.read(root, Artifact(prefix, Form.CHECKPOINT, parts), index)


def _read_graphs(source: Source, artifact: Artifact) -> _Graphs:
    head = _part(artifact, Role.SAVED_MODEL)
    name = head.path.rpartition("/")[2] if head else ""
    if not source.size:
        raise Incomplete(f"{name} is empty: the save was broken off")
    if source.read(0, len(GIT_LFS)) == GIT_LFS:
        raise Unreadable(f"{name} is {POINTER}")
    if not name.endswith(".pb"):
        return _Graphs()  # text, or TensorFlow's format for more than 2 GB: not looked into
    try:
        _require_end(source, name)
        return _graphs(source.read(0, source.size)) if source.size <= GRAPH_LIMIT else _Graphs()
    except Malformed as error:
        head_bytes = ascii(source.read(0, 24))[1:]
        raise Unreadable(
            f"{name} is no SavedModel, or damaged: {error} (it begins with {head_bytes})"
        ) from error


def _require_end(source: Source, name: str) -> None:
    """Raise Incomplete where the file breaks off within one of its graphs."""
    at, graphs = 0, 0
    for _ in range(_FIELDS_LIMIT):
        if at >= source.size:
            break
        head = source.read(at, 2 * _VARINT_BYTES)
        tag, used = varint(head, 0)
        value, used = varint(head, used)
        if tag not in (1 << 3 | VARINT, _META_GRAPHS << 3 | BYTES):
            raise Malformed(f"a field that no SavedModel has (tag {tag})")
        graphs += tag & 7 == BYTES
        at += used + (value if tag & 7 == BYTES else 0)
    if at > source.size:
        raise Incomplete(
            f"{name} has {source.size:,} bytes and should have {at:,}: it was truncated, or the"
            " save was broken off"
        )
    if at < source.size or not graphs:
        raise Malformed("graphs without end" if graphs else "no graph in it")


def _graphs(content: bytes) -> _Graphs:
    """The first graph's, as those of other tags share its variables."""
    graph = next(nested(content, _META_GRAPHS), b"")
    saver = next(nested(graph, _SAVER), None)
    nodes = nested(next(nested(graph, _OBJECTS), b""), _NODES)
    model = next(nested(next(nodes, b""), _USER_OBJECT), b"")
    return _Graphs(saver is not None, _metadata(model, _IDENTIFIER, _METADATA))


def _metadata(message: bytes, identifier: int, metadata: int) -> bytes:
    """Keras' JSON about an object, if it is one of Keras'."""
    if not next(nested(message, identifier), b"").startswith(_KERAS):
        return b""
    return next(nested(message, metadata), b"")


def _read_keras_metadata(root: str, artifact: Artifact) -> bytes:
    """The same from ``keras_metadata.pb``: of the model itself, which is object 0."""
    part = _part(artifact, Role.KERAS_METADATA)
    if part is None or part.fact.size > GRAPH_LIMIT:
        return b""
    with opened(root, part) as source:
        content = source.read(0, source.size)
        source.check()
    try:
        return next(_of_models(content), b"")
    except Malformed as error:
        raise Unreadable(f"keras_metadata.pb is damaged: {error}") from error


def _of_models(content: bytes) -> Iterator[bytes]:
    for message in islice(nested(content, _NODES), 1):
        if integer(message, _SAVED_ID) == 0:
            yield _metadata(message, _SAVED_IDENTIFIER, _SAVED_METADATA)


def _with_keras(variables: Description, metadata: bytes) -> Description:
    """What the variables tell, and what Keras' metadata add; the variables' optimizer is as
    trained."""
    if not metadata:
        return variables
    try:
        stored = _without_tuples(canonical.parse(metadata.decode()))
    except ValueError as error:
        raise Unreadable(f"what Keras wrote of its model is no JSON: {error}") from error
    if not isinstance(stored, dict):
        return variables
    told = _model(stored)
    return replace(
        told,
        parameters=variables.parameters,
        variables=variables.variables,
        dtype=variables.dtype,
        step=variables.step,
        optimizer=variables.optimizer or told.optimizer,
    )


def _model(stored: dict[str, Any]) -> Description:
    """A subclassed model has no config that tells its layers."""
    config, training = stored.get("model_config"), stored.get("training_config")
    told = Description(class_name=canonical.text(stored.get("class_name")))
    if isinstance(config, dict):
        told = keras_config.describe(
            json.dumps(config), json.dumps(training) if isinstance(training, dict) else None
        )
    return replace(
        told,
        keras_version=canonical.text(stored.get("keras_version")),
        backend=canonical.text(stored.get("backend")),
    )


def _without_tuples(value: Any) -> Any:
    """Lists for the tuples that Keras marks in here, and in no other format."""
    if isinstance(value, list):
        return [_without_tuples(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "__tuple__" and isinstance(value.get("items"), list):
        return _without_tuples(value["items"])
    return {key: _without_tuples(each) for key, each in value.items()}

"""Opening a model for its user: the one room that imports Keras and TensorFlow, when asked to.

A trainer may save while we read, and HDF5's own lock, taken by a reader, destroys what it saves
(the trainer empties its file before it finds the lock). So what Keras opens is a copy, read without
any lock, and compared by its fingerprint with what the registry knows: results belong to content.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcherd import readers
from watcherd.artifact import Artifact, Form, Part, Role, fact_from
from watcherd.errors import Refused
from watcherd.plan import Format

Objects = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What is to be opened, as the registry knows it."""

    root: Path
    path: str
    format: Format
    fingerprint: str | None
    parts: tuple[Part, ...]
    architecture: str | None = None
    """The config that weights are to be loaded into: JSON."""
    fits: Sequence[str] = ()
    """The architectures that may be theirs, in words."""

    @property
    def place(self) -> Path:
        return self.root / self.path


def open_model(
    one: Opened, custom_objects: Objects = None, *, compile: bool = False, safe_mode: bool = True
) -> Any:
    """A Keras model of a whole model, or of weights and an architecture; of a checkpoint the reader
    of ``tf.train.load_checkpoint``; of a SavedModel what ``tf.saved_model.load`` makes.

    Raises Refused for what cannot be opened so, is not there, or is not what the registry knows.
    """
    if one.format in (Format.H5, Format.KERAS):
        with _copied(one, f"model.{one.format}") as copy:
            return _load(copy, custom_objects, compile=compile, safe_mode=safe_mode)
    if one.format is Format.WEIGHTS_H5:
        return _with_weights(one, custom_objects)
    if one.format in (Format.CHECKPOINT, Format.CHECKPOINT_V1):
        return _checkpoint(one)
    if one.format is Format.SAVED_MODEL:
        return _saved_model(one, safe_mode=safe_mode)
    raise Refused(f"{one.place} is HDF5, but no model of Keras", hint="open it with h5py or pandas")


def _load(copy: Path, custom_objects: Objects, *, compile: bool, safe_mode: bool) -> Any:
    import keras

    return keras.models.load_model(
        copy, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode
    )


def _with_weights(one: Opened, custom_objects: Objects) -> Any:
    """Weights tell no architecture: which one they are of, their user has to say."""
    if one.architecture is None:
        told = "; ".join(one.fits) or "no architecture that the registry knows has as many"
        raise Refused(
            f"{one.place} holds weights alone, and Keras needs an architecture for them",
            hint=f"open_model(model, architecture=ID) with one that fits: {told}",
        )
    model = _rebuilt(json.loads(one.architecture), custom_objects or {})
    # Keras tells the layouts of weights apart by the file's name.
    with _copied(one, one.place.name) as copy:
        model.load_weights(copy)
    return model


def _rebuilt(config: Any, custom_objects: Mapping[str, Any]) -> Any:
    """A model of an architecture. ``.h5`` and ``.keras`` files store two dialects, both of which
    ``from_config`` reads; it refuses to run a Lambda's code.
    """
    import keras

    name = config["class_name"]
    kind = keras.Sequential if name == "Sequential" else custom_objects.get(name, keras.Model)
    return kind.from_config(config["config"], custom_objects=dict(custom_objects))


def _checkpoint(one: Opened) -> Any:
    _compare(one, one.root, one.path, one.parts)
    import tensorflow as tf

    return tf.train.load_checkpoint(str(one.place))


def _saved_model(one: Opened, *, safe_mode: bool) -> Any:
    if safe_mode:
        raise Refused(
            f"{one.place} is a SavedModel: a program, which may read and write files when loaded",
            hint="where you trust who saved it: open_model(model, safe_mode=False)",
        )
    _compare(one, one.root, one.path, one.parts)
    import tensorflow as tf

    return tf.saved_model.load(str(one.place))


@contextmanager
def _copied(one: Opened, name: str) -> Iterator[Path]:
    """A copy under that name, whose content is what the registry knows."""
    with tempfile.TemporaryDirectory(prefix="watcherd-") as folder:
        copy = Path(folder, name)
        try:
            shutil.copyfile(one.place, copy)
        except OSError as error:
            raise Refused(
                f"{one.place} cannot be read: {error.strerror}",
                hint="watcherd reconcile looks where it went",
            ) from None
        role = Role.KERAS if one.format is Format.KERAS else Role.H5
        _compare(one, Path(folder), name, (Part(role, name, fact_from(copy.lstat())),))
        yield copy


def _compare(one: Opened, root: Path, path: str, parts: tuple[Part, ...]) -> None:
    form = _FORMS.get(one.format, Form.HDF5)
    found = readers.read(str(root), Artifact(path, form, parts))
    if found.fingerprint != one.fingerprint:
        raise Refused(
            f"{one.place} is not what the registry knows: it is gone, or holds something else now",
            hint="watcherd reconcile looks at it again; results and marks may be of what it was",
        )


_FORMS = {
    Format.KERAS: Form.KERAS,
    Format.CHECKPOINT: Form.CHECKPOINT,
    Format.CHECKPOINT_V1: Form.CHECKPOINT,
    Format.SAVED_MODEL: Form.SAVED_MODEL,
}

"""What a model file itself tells, without TensorFlow and h5py, and without disturbing its trainer.

Importing this costs nothing: pyfive and numpy are imported when an HDF5 file is read, cramjam when
a checkpoint is. Meant for a bounded child process, as a hostile file may cost time and memory.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from watcherd.artifact import Artifact, Form, Part, Role
from watcherd.plan import Format, Outcome, Reading
from watcherd.readers.fingerprint import INDEX_LIMIT, SMALL, fingerprint, joined
from watcherd.readers.source import Changed, Incomplete, Source, Unreadable, opened

_LINE = 120
"""Characters of a parser's message that are passed on."""


def read(root: str, artifact: Artifact) -> Reading:
    """What the artifact below ``root`` tells; every fault of its content is an outcome.

    CHANGED where a file that was opened is not, or no longer, what the artifact says; DENIED where
    one cannot be looked at (permissions, input/output errors). The note beside it decides nothing.
    """
    reading = _read(root, artifact)
    if all(part.role is not Role.NOTE for part in artifact.parts):
        return reading
    from watcherd.readers import note

    try:
        return replace(reading, note=note.read(root, artifact))
    except Changed:
        return Reading(Outcome.CHANGED)


def _read(root: str, artifact: Artifact) -> Reading:
    head = artifact.head
    if head is None:
        return _without_head(artifact)
    reader = _reader(root, artifact)
    try:
        with opened(root, head) as source:
            mark = _fingerprint(root, artifact, source)
            reading = _judged(reader, source)
            source.check()
            claimed = reading.format or _claimed(artifact)
            return replace(reading, format=claimed, fingerprint=mark)
    except Changed:
        return Reading(Outcome.CHANGED)
    except Unreadable as error:
        return Reading(Outcome.UNREADABLE, reason=str(error))
    except OSError as error:
        return Reading(Outcome.DENIED, reason=_denial(error))


def _fingerprint(root: str, artifact: Artifact, source: Source) -> str:
    """Of the head alone, and of what else the content lies in where that does not tell it."""
    marks = [fingerprint(source, _hashed_whole(artifact.head))]
    for part in _hashed_too(artifact):
        with opened(root, part) as other:
            marks.append(fingerprint(other, _hashed_whole(part)))
            other.check()
    return joined(marks)


def _hashed_whole(part: Part | None) -> int:
    """Bytes up to which a part is hashed whole: an index holds checksums of all the rest."""
    return INDEX_LIMIT if part and part.role in (Role.INDEX, Role.SAVED_MODEL) else SMALL


def _hashed_too(artifact: Artifact) -> list[Part]:
    """A V1 checkpoint's other shards, a SavedModel's index of variables."""
    role = {Role.SHARD_V1: Role.SHARD_V1, Role.SAVED_MODEL: Role.INDEX}
    wanted = role.get(artifact.head.role) if artifact.head else None
    return [part for part in artifact.parts if part.role is wanted and part != artifact.head]


def _claimed(artifact: Artifact) -> Format | None:
    """The format that the names alone tell; None where only the content does."""
    if artifact.form is Form.SAVED_MODEL:
        return Format.SAVED_MODEL
    if artifact.form is not Form.CHECKPOINT:
        return None
    is_v1 = artifact.head and artifact.head.role is Role.SHARD_V1
    return Format.CHECKPOINT_V1 if is_v1 else Format.CHECKPOINT


def _reader(root: str, artifact: Artifact) -> Callable[[Source], Reading]:
    """The reader of an artifact's form; ImportError where the installation is broken."""
    if artifact.form is Form.HDF5:
        from watcherd.readers import hdf5

        return hdf5.read
    if artifact.form is Form.KERAS:
        from watcherd.readers import keras_zip

        return keras_zip.read
    if artifact.form is Form.SAVED_MODEL:
        from watcherd.readers import saved_model

        return partial(saved_model.read, root, artifact)
    if _claimed(artifact) is Format.CHECKPOINT_V1:
        from watcherd.readers import checkpoint_v1

        return partial(checkpoint_v1.read, root, artifact)
    from watcherd.readers import bundle

    return partial(bundle.read, root, artifact)


def _judged(reader: Callable[[Source], Reading], source: Source) -> Reading:
    """The reader's verdict. Damaged files make parsers raise anything, MemoryError included."""
    try:
        return reader(source)
    except Changed:
        raise
    except Incomplete as error:
        return Reading(Outcome.INCOMPLETE, reason=str(error))
    except Unreadable as error:
        return Reading(Outcome.UNREADABLE, reason=str(error))
    except Exception as error:  # pyfive raises a dozen types for damage
        if isinstance(error, OSError) and error.errno:  # the disk's fault, not the content's
            raise
        return Reading(Outcome.UNREADABLE, reason=_damage(error))


def _without_head(artifact: Artifact) -> Reading:
    name = artifact.path.rpartition("/")[2]
    if artifact.form is Form.SAVED_MODEL:
        return Reading(
            Outcome.INCOMPLETE,
            Format.SAVED_MODEL,
            "saved_model.pb and variables/variables.index are missing: the save was broken off, or"
            " they were deleted; nothing can be restored without them",
        )
    return Reading(
        Outcome.INCOMPLETE,
        Format.CHECKPOINT,
        f"{name}.index is missing: the save was broken off, or its index deleted; nothing can be"
        " restored without it",
    )


def _damage(error: Exception) -> str:
    """What a parser stumbled over, in one line."""
    if isinstance(error, RecursionError | MemoryError):
        return "damaged: its structure has no end (it nests in circles, or names absurd sizes)"
    told = ascii(str(error))[1:-1][:_LINE]
    cause = f"{type(error).__name__}: {told}" if told else type(error).__name__
    if isinstance(error, RuntimeError | AssertionError):  # how pyfive refuses what it lacks
        return (
            "damaged, or made with a feature that Keras does not use, such as links into other"
            f" files ({cause})"
        )
    return f"damaged: its structure cannot be followed ({cause})"


def _denial(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it; give the user that watcherd runs as read access"
    return f"it cannot be read: {error.strerror or error}"

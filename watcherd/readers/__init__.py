"""What a model file itself tells, without TensorFlow and h5py, and without disturbing its trainer.

Importing this costs nothing: pyfive and numpy are imported when an HDF5 file is read, cramjam when
a checkpoint is. Meant for a bounded child process, as a hostile file may cost time and memory.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from watcherd.artifact import Artifact, Form
from watcherd.plan import Format, Outcome, Reading
from watcherd.readers.fingerprint import INDEX_LIMIT, SMALL, fingerprint
from watcherd.readers.source import Changed, Incomplete, Source, Unreadable, opened

_LINE = 120
"""Characters of a parser's message that are passed on."""


def read(root: str, artifact: Artifact) -> Reading:
    """What the artifact below ``root`` tells; every fault of its content is an outcome.

    CHANGED where a file that was opened is not, or no longer, what the artifact says; DENIED where
    one cannot be looked at (permissions, input/output errors).
    """
    head = artifact.head
    if head is None:
        return _without_head(artifact)
    reader = _reader(root, artifact)
    claimed = Format.CHECKPOINT if artifact.form is Form.CHECKPOINT else None
    try:
        with opened(root, head) as source:
            limit = SMALL if artifact.form is Form.HDF5 else INDEX_LIMIT
            mark = fingerprint(source, limit)
            reading = _judged(reader, source)
            source.check()
            return replace(reading, format=reading.format or claimed, fingerprint=mark)
    except Changed:
        return Reading(Outcome.CHANGED)
    except Unreadable as error:
        return Reading(Outcome.UNREADABLE, reason=str(error))
    except OSError as error:
        return Reading(Outcome.DENIED, reason=_denial(error))


def _reader(root: str, artifact: Artifact) -> Callable[[Source], Reading]:
    """The reader of an artifact's form; ImportError where the installation is broken."""
    if artifact.form is Form.HDF5:
        from watcherd.readers import hdf5

        return hdf5.read
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

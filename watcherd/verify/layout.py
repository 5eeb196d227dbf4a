"""A model's files under plain names: links in a folder of our own.

Keras and TensorFlow read meaning into a path: the suffix tells the format, ``[`` begins a pattern,
a folder beside the prefix of the same name is taken for a folder of checkpoints.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from watcherd.artifact import ASIDE, Part, Role
from watcherd.errors import VerifyError
from watcherd.plan import Format, Record

NAME = "model"

_SUFFIXES = {
    Format.H5: (".h5",),
    Format.KERAS: (".keras",),
    # Keras tells the two layouts of weights apart by the name, and we do by the content.
    Format.WEIGHTS_H5: (".h5", ".weights.h5"),
}


@contextmanager
def laid_out(root: Path, record: Record, format: Format) -> Iterator[Path]:
    """A folder with links to the files that hold a model: ``model.h5``, ``model.index``, ...,
    ``model/saved_model.pb``. Raises VerifyError."""
    with ExitStack() as stack:
        try:
            temporary = tempfile.TemporaryDirectory(prefix="watcherd-verify-")
            folder = Path(stack.enter_context(temporary))
            _link(folder, root, record, format)
        except OSError as error:
            raise VerifyError(
                f"no links to the models can be made in {tempfile.gettempdir()}: {error.strerror}",
                hint="let this user write there, or set TMPDIR to another folder",
            ) from None
        yield folder


def _link(folder: Path, root: Path, record: Record, format: Format) -> None:
    for part in record.parts:
        if part.role in ASIDE or part.role is Role.TEMPORARY:
            continue
        for name in _names(part, record, format):
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(root / part.path)


def _names(part: Part, record: Record, format: Format) -> Iterator[str]:
    """Of a checkpoint, and of a SavedModel's folder, what follows its path stays as it is."""
    suffixes = _SUFFIXES.get(format, (part.path[len(record.path) :],))
    return (f"{NAME}{suffix}" for suffix in suffixes)

"""What trainers write beside their models, told by its name: none of it is ever part of one."""

import re
from typing import NamedTuple

from watcherd.naming.parts import temporary_of


class Foreign(NamedTuple):
    """What a file or folder is that no model is made of."""

    words: str
    """For a person, such as ``an event log for TensorBoard``."""
    is_temporary: bool = False
    """Its writer renames or removes it when the save is whole; what stays was left behind."""


_FILES = (
    # BundleWriter of TensorFlow's tensor_bundle.cc, and atomic_write_string_to_file of file_io.py.
    (r".+\.tempstate[0-9]+", Foreign("a part of a checkpoint that TensorFlow is writing", True)),
    (r".+\.tmp[0-9a-f]{32}", Foreign("a file that TensorFlow is writing", True)),
    # MergeV2Checkpoints joins them.
    (r"part-[0-9]{5,}-of-[0-9]{5,}\..+", Foreign("a piece of a checkpoint being saved", True)),
    (r"events\.out\.tfevents\..+", Foreign("an event log for TensorBoard")),
    # tf.io.write_graph by its usual names, and keras.utils.plot_model.
    (r"(?:graph|train|eval|model)\.pb(?:txt)?", Foreign("a graph without variables")),
    (r".+\.(?:png|svg|dot)", Foreign("a picture, of a model's graph perhaps")),
    (
        r"training_metadata\.json(?:\.bkp)?",
        Foreign("what Keras' BackupAndRestore notes for itself"),
    ),
)
_FILE = tuple((re.compile(name, re.DOTALL), foreign) for name, foreign in _FILES)
_TEMPORARY = re.compile(
    # One expression for all, without what begins with anything: nearly every name fits none.
    "|".join(name.removeprefix(".+") for name, foreign in _FILES if foreign.is_temporary),
    re.DOTALL,
)

_ORBAX = ".orbax-checkpoint-tmp"
"""``TMP_DIR_SUFFIX`` of Orbax, with a time behind it."""


def foreign_file(name: str) -> Foreign | None:
    """What a file of this name is to a trainer; None for what is nothing known."""
    return next((foreign for names, foreign in _FILE if names.fullmatch(name)), None)


def may_be_temporary(name: str) -> bool:
    """Whether it is worth asking what a file of this name is: a quick no for nearly all."""
    return _TEMPORARY.search(name) is not None


def foreign_folder(name: str) -> Foreign | None:
    """What a folder of this name is to a trainer; None for an ordinary one."""
    if prefix := temporary_of(name):
        return Foreign(f"a folder in which TensorFlow is saving {prefix}", is_temporary=True)
    if _ORBAX in name:
        return Foreign("a folder in which Orbax is saving", is_temporary=True)
    return None

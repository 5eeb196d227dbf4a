"""One name in a folder → which part of which artifact, or none."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from watcherd.artifact import Form, Role
from watcherd.naming.globs import Globs
from watcherd.scope import is_text

_ROLES = {"index": Role.INDEX, "meta": Role.GRAPH}
_SHARD = re.compile(r"data-[0-9]{5,}-of-[0-9]{5,}")
"""``strings::Printf("%s.data-%05d-of-%05d")`` in TensorFlow's naming.cc: five digits or more."""

_SHARD_V1 = re.compile(r"(?P<prefix>.+)-[0-9]{5}-of-[0-9]{5}", re.DOTALL)
"""``ShardedFilename`` of TensorFlow's ``sharded_filename_op.cc``; data sets are named so, too."""

_SAVED_MODEL = {
    "saved_model.pb": Role.SAVED_MODEL,
    "saved_model.pbtxt": Role.SAVED_MODEL,
    "saved_model.cpb": Role.SAVED_MODEL,
    "keras_metadata.pb": Role.KERAS_METADATA,
    "fingerprint.pb": Role.FINGERPRINT,
}
"""Names in TensorFlow's ``saved_model/constants.h`` and Keras' ``saved_model/constants.py``."""
VARIABLES = "variables"
"""The folder of a SavedModel's variables, and the prefix of the checkpoint that they are."""
ASSET_FOLDERS = ("assets", "assets.extra")
GRAPHS = tuple(name for name, role in _SAVED_MODEL.items() if role is Role.SAVED_MODEL)

_PRIVATE = {
    "latest.weights.h5": "training_metadata.json",
}
"""What a trainer writes for itself -> the file beside it by which it is known; ``.bkp`` is added
to the latter while Keras' BackupAndRestore saves anew."""

_NOTE = ".watcherd.json"
"""What the name of a note adds to its artifact's."""
_MANIFEST = ("manifest.json", "manifest.json.new")
"""What the trash writes beside the files that it takes."""

_FOREIGN = re.compile(r"\.|part-[0-9]{5,}-of-[0-9]{5,}\.|events\.out\.tfevents\.")
"""How names begin that are no part: hidden ones, TensorFlow's temporary shards, event logs."""

_TEMPORARY = re.compile(r"(?P<prefix>.+)_temp(?:_[0-9a-f]{32})?", re.DOTALL)

FOREIGN_FOLDERS = (
    ".*",
    "*_temp",
    "*_temp_" + "?" * 32,
    "*.orbax-checkpoint-tmp*",
    "lost+found",
)
"""Globs of folders that never hold artifacts. ``lost+found`` is made by mkfs and readable by root
alone: it would be a blind spot for ever."""

_FOREIGN_FOLDERS = Globs(FOREIGN_FOLDERS)


@dataclass(frozen=True, slots=True)
class PartName:
    """Which part of which artifact a file name is."""

    artifact: str
    """The artifact's name in its folder: the file's own, or the checkpoint prefix."""
    form: Form
    role: Role


def part_of(name: str) -> PartName | None:
    """Tell a part by its file name alone; None for what is no part of any artifact."""
    prefix, _, suffix = name.rpartition(".")
    if not prefix or _FOREIGN.match(name):
        return None
    if suffix.lower() in ("h5", "hdf5"):
        return PartName(name, Form.HDF5, Role.H5)
    if suffix.lower() == "keras":
        return PartName(name, Form.KERAS, Role.KERAS)
    role = Role.SHARD if _SHARD.fullmatch(suffix) else _ROLES.get(suffix)
    return PartName(prefix, Form.CHECKPOINT, role) if role else None


def part_of_v1(name: str, graphs: Collection[str]) -> PartName | None:
    """Tell a file of a V1 checkpoint, if it is no part by its name alone.

    ``graphs`` are the prefixes ``P`` of the ``P.meta`` files beside it: nothing else in the names
    tells ``P`` from any other file, and ``P-0000i-of-0000N`` from a data set's.
    """
    found = _SHARD_V1.fullmatch(name)
    prefix = found["prefix"] if found else name
    if prefix not in graphs or _FOREIGN.match(name):
        return None
    return PartName(prefix, Form.CHECKPOINT, Role.SHARD_V1)


def role_in_saved_model(name: str, folder: str = "") -> Role | None:
    """What a file is to the SavedModel of its folder, or of the one above its ``folder`` there."""
    if folder in ASSET_FOLDERS:
        return Role.ASSET
    if folder != VARIABLES:
        return _SAVED_MODEL.get(name)
    part = part_of(name)
    return part.role if part and is_inside_saved_model(folder, part) else None


def is_inside_saved_model(folder_name: str, part: PartName) -> bool:
    """Whether a part is of the ``variables/variables`` that only SavedModels have.

    It is written before ``saved_model.pb``, so it is known by its name alone.
    """
    return folder_name == VARIABLES == part.artifact and part.form is Form.CHECKPOINT


def note_of(name: str) -> str | None:
    """The artifact that a file is the note of: ``m.h5`` for ``m.h5.watcherd.json``.

    The name of a SavedModel is its folder's, and its note lies beside that folder.
    """
    artifact = name.removesuffix(_NOTE)
    return artifact if artifact not in ("", name) and not _FOREIGN.match(name) else None


def note_name(artifact: str) -> str:
    """The name of an artifact's note; also of its path."""
    return artifact + _NOTE


def unfit_as_companion(name: str) -> str | None:
    """Why a file of this name can accompany no model, in words for a person."""
    if "/" in name or "\0" in name or name in ("", ".", "..") or not is_text(name):
        return "no plain name of a file in the same folder"
    if part_of(name) or note_of(name) or name in _SAVED_MODEL:
        return "a model's own file, or a note"
    if _FOREIGN.match(name):
        return "hidden, or TensorFlow's own"
    return "a name that the trash needs for itself" if name in _MANIFEST else None


def private_by(name: str) -> tuple[str, ...]:
    """The names of which one beside this file makes it private to its trainer; mostly none."""
    beside = _PRIVATE.get(name)
    return (beside, f"{beside}.bkp") if beside else ()


def temporary_of(folder_name: str) -> str | None:
    """The prefix whose save is under way in this folder: ``P`` for ``P_temp``, ``P_temp_<hex>``."""
    found = _TEMPORARY.fullmatch(folder_name)
    return found["prefix"] if found else None


def is_ignored_folder(name: str) -> bool:
    """Whether no artifact is ever looked for in a folder of this name."""
    return _FOREIGN_FOLDERS.fitting(name) is not None


def is_state_file(name: str, state_files: Collection[str]) -> bool:
    """Whether a file of this name lists recent checkpoints (``latest_filename`` of the Saver)."""
    return name in state_files

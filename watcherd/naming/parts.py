"""One name in a folder → which part of which artifact, or none."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from watcherd.artifact import Form, Role
from watcherd.naming.globs import Globs

_ROLES = {"index": Role.INDEX, "meta": Role.GRAPH}
_SHARD = re.compile(r"data-[0-9]{5,}-of-[0-9]{5,}")
"""``strings::Printf("%s.data-%05d-of-%05d")`` in TensorFlow's naming.cc: five digits or more."""

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
    role = Role.SHARD if _SHARD.fullmatch(suffix) else _ROLES.get(suffix)
    return PartName(prefix, Form.CHECKPOINT, role) if role else None


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

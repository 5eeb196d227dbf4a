"""What names say: which file is which part, where it is placed, its family, step and metrics.

Pure: nothing here touches the disk. Names and paths are text as ``os.fsdecode`` gives it; paths
are below the models root, POSIX, without a leading slash. Nothing here raises on a name, however
odd; only settings (layouts, templates) can be refused, with ValueError.
"""

from watcherd.naming.marks import is_better
from watcherd.naming.parts import (
    ASSET_FOLDERS,
    GRAPHS,
    VARIABLES,
    PartName,
    is_ignored_folder,
    is_inside_saved_model,
    is_state_file,
    note_name,
    note_of,
    part_of,
    part_of_v1,
    private_by,
    role_in_saved_model,
    temporary_of,
    unfit_as_companion,
)
from watcherd.naming.placement import Layout, Placement, interval_seconds
from watcherd.naming.rules import NameReading, Naming
from watcherd.naming.statefile import StateFile, path_of_latest, read_state_file
from watcherd.naming.template import Template

__all__ = [
    "ASSET_FOLDERS",
    "GRAPHS",
    "VARIABLES",
    "Layout",
    "NameReading",
    "Naming",
    "PartName",
    "Placement",
    "StateFile",
    "Template",
    "interval_seconds",
    "is_better",
    "is_ignored_folder",
    "is_inside_saved_model",
    "is_state_file",
    "note_name",
    "note_of",
    "part_of",
    "part_of_v1",
    "path_of_latest",
    "private_by",
    "read_state_file",
    "role_in_saved_model",
    "temporary_of",
    "unfit_as_companion",
]

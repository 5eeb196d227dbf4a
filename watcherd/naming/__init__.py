"""What names say: which file is which part, where it is placed, its family, step and metrics.

Pure: nothing here touches the disk. Names and paths are text as ``os.fsdecode`` gives it; paths
are below the models root, POSIX, without a leading slash. Nothing here raises on a name, however
odd; only settings (layouts, templates) can be refused, with ValueError.
"""

from watcherd.naming.parts import (
    PartName,
    is_ignored_folder,
    is_state_file,
    part_of,
    temporary_of,
)
from watcherd.naming.placement import Layout, Placement, interval_seconds
from watcherd.naming.rules import NameReading, Naming
from watcherd.naming.statefile import StateFile, read_state_file
from watcherd.naming.template import Template

__all__ = [
    "Layout",
    "NameReading",
    "Naming",
    "PartName",
    "Placement",
    "StateFile",
    "Template",
    "interval_seconds",
    "is_ignored_folder",
    "is_state_file",
    "part_of",
    "read_state_file",
    "temporary_of",
]

"""The trash: the only code that renames or removes a user's file.

``move_out``, ``bring_back`` and ``purge`` take an ``Entry`` and can each be stopped anywhere and
called again. What they promise stands in ``moves``; which facts must fit, in ``transit``.
"""

from watcherd.trash.entry import Entry, Held, trash_path_for
from watcherd.trash.manifest import Trashed, list_trash
from watcherd.trash.moves import bring_back, holds, move_out, purge, sync_folders

__all__ = [
    "Entry",
    "Held",
    "Trashed",
    "bring_back",
    "holds",
    "list_trash",
    "move_out",
    "purge",
    "sync_folders",
    "trash_path_for",
]

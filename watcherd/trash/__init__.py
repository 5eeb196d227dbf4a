"""The trash: the only code that renames or removes a user's file.

``move_out``, ``bring_back`` and ``purge`` take an ``Entry`` and can each be stopped anywhere and
called again. What they promise stands in ``moves``; which facts must fit, in ``transit``. A copy
for an ensemble is made in a folder of ours (``staging``), and ``deliver`` puts it in its place.
"""

from watcherd.trash.entry import Entry, Held, trash_path_for
from watcherd.trash.manifest import Trashed, list_trash
from watcherd.trash.moves import bring_back, holds, move_out, purge, sync_folders, tidy
from watcherd.trash.staging import copied, deliver, is_shared, is_taken, settle, stage, staging

__all__ = [
    "Entry",
    "Held",
    "Trashed",
    "bring_back",
    "copied",
    "deliver",
    "holds",
    "is_shared",
    "is_taken",
    "list_trash",
    "move_out",
    "purge",
    "settle",
    "stage",
    "staging",
    "sync_folders",
    "tidy",
    "trash_path_for",
]

"""Values → what people read (rich tables and text) and what scripts read (plain JSON values).

Pure. One module a family of commands; ``cells`` is what they share.
"""

from watcherd.render.cards import model_card
from watcherd.render.cells import human_size
from watcherd.render.cycles import reconciled, reconciled_text
from watcherd.render.ensembles import copied_text, members_text
from watcherd.render.explain import explained_text
from watcherd.render.history import history_line, history_table
from watcherd.render.marks import marked_text, recorded_text
from watcherd.render.models import group_table, model_table
from watcherd.render.retention import pruned, pruned_text
from watcherd.render.settings import settings_table
from watcherd.render.status import status_text
from watcherd.render.trash import emptied, emptied_text, moved_text, trashed_text
from watcherd.render.verification import verified_text

__all__ = [
    "copied_text",
    "emptied",
    "emptied_text",
    "explained_text",
    "group_table",
    "history_line",
    "history_table",
    "human_size",
    "marked_text",
    "members_text",
    "model_card",
    "model_table",
    "moved_text",
    "pruned",
    "pruned_text",
    "reconciled",
    "reconciled_text",
    "recorded_text",
    "settings_table",
    "status_text",
    "trashed_text",
    "verified_text",
]

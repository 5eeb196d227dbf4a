"""Values → what people read (rich tables and text) and what scripts read (plain JSON values).

Pure. One module a family of commands; ``cells`` is what they share.
"""

from watcherd.render.cells import human_size
from watcherd.render.cycles import reconciled, reconciled_text
from watcherd.render.history import history_line, history_table
from watcherd.render.models import model_card, model_table
from watcherd.render.retention import pruned, pruned_text, restored_text
from watcherd.render.settings import settings_table
from watcherd.render.status import status_text

__all__ = [
    "history_line",
    "history_table",
    "human_size",
    "model_card",
    "model_table",
    "pruned",
    "pruned_text",
    "reconciled",
    "reconciled_text",
    "restored_text",
    "settings_table",
    "status_text",
]

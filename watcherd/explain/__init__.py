"""What a path is, why it has a row or none, and what becomes of its model.

``inquire`` finds out what there is to know, and is the only part that looks at anything;
``explain`` makes an Explanation of it, purely.
"""

from watcherd.explain.answers import Answer, Kind
from watcherd.explain.evidence import Disk, Evidence, Found, Known, Sight
from watcherd.explain.explanation import Explanation, explain
from watcherd.explain.fate import Fate, Judged, Pruning, Standing, fate_of
from watcherd.explain.inquiry import inquire, inquire_outside

__all__ = [
    "Answer",
    "Disk",
    "Evidence",
    "Explanation",
    "Fate",
    "Found",
    "Judged",
    "Kind",
    "Known",
    "Pruning",
    "Sight",
    "Standing",
    "explain",
    "fate_of",
    "inquire",
    "inquire_outside",
]

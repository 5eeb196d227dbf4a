"""What a path is, why it has a row or none, and what becomes of its model.

``inquire`` asks registry, disk and daemon, and is all of it that looks at anything; ``explain``
makes an Explanation of the evidence, purely.
"""

from watcherd.explain.evidence import Evidence
from watcherd.explain.explanation import Explanation, explain
from watcherd.explain.inquiry import inquire, inquire_outside

__all__ = ["Evidence", "Explanation", "explain", "inquire", "inquire_outside"]

"""All that can be said of a path, as one value. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from watcherd.artifact import Artifact
from watcherd.explain.answers import Answer, answer
from watcherd.explain.differences import differences
from watcherd.explain.evidence import Evidence, Row
from watcherd.explain.fate import Fate
from watcherd.registry import iso
from watcherd.survey import Survey

_TOLD = (
    *("model_id", "path", "state", "reason", "format", "interval", "ticker", "type", "unplaced"),
    *("family", "step", "size_bytes", "files", "modified_at", "first_seen_at", "copy_of"),
    *("resume", "pinned", "aliases"),
)
"""Columns of a model's row that have to do with why it is there; ``show`` tells all of them."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What can be said of a path."""

    path: str
    """Below the root; as written where it lies outside."""
    answer: Answer
    artifact: Artifact | None
    """What is on disk, whole or not."""
    model: Row | None
    differs: tuple[str, ...]
    """What the registry does not know yet."""
    fate: Fate | None
    counts: Mapping[str, int]
    survey: Survey | None

    def as_json(self) -> dict[str, Any]:
        """One document (docs/commands.md)."""
        return {
            "path": self.path,
            **asdict(self.answer),
            "model": self.model and {key: self.model[key] for key in _TOLD},
            "disk": self.artifact and _on_disk(self.artifact),
            "differs": list(self.differs),
            "fate": self.fate and asdict(self.fate),
            "models": dict(self.counts),
            "survey": self.survey and self.survey.as_json(),
        }


def explain(seen: Evidence, name: str) -> Explanation | None:
    """Say what a path is; ``name`` is how the person wrote it.

    None where it is neither on disk nor in the registry.
    """
    said = answer(seen)
    if said is None:
        return None
    return Explanation(
        path=name if seen.path is None else seen.path,
        answer=said,
        artifact=seen.artifact,
        model=seen.model,
        differs=differences(seen),
        fate=seen.known.fate if seen.known else None,
        counts=seen.known.counts if seen.known else {},
        survey=seen.disk.survey,
    )


def _on_disk(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": artifact.path,
        "files": [part.path for part in artifact.parts],
        "size_bytes": artifact.size_bytes,
        "modified_at": iso(artifact.modified_ns),
    }

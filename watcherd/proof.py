"""Whether TensorFlow can open a model: what is asked, and what was answered. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from watcherd.plan import Format, Record

MARK = "WATCHERD_VERIFICATION"
"""In the environment of the process that opens models, and of all that it starts: it only reads,
and may keep what it reads when that moves to the trash."""


class Answer(StrEnum):
    """What TensorFlow made of a model."""

    OPENED = "opened"
    FAILED = "failed"
    UNCLEAR = "unclear"
    """TensorFlow could not judge it: classes are not known, it would have to run untrusted code, or
    there was too little memory or time."""


VERIFIED: Mapping[Answer, int | None] = {
    Answer.OPENED: 1,
    Answer.FAILED: 0,
    Answer.UNCLEAR: None,
}
"""What ``model.verified`` says of an answer."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An answer, and what it is based on."""

    answer: Answer
    reason: str | None = None
    """Why not, in words for a person; None where it was opened."""
    judge: str | None = None
    """Which TensorFlow and Keras said so; None where none was asked."""
    architecture_id: int | None = None
    """Of weights alone: the architecture that they were loaded into."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is to be opened, as the registry knows it."""

    record: Record
    format: Format
    custom_objects: tuple[str, ...] = ()
    """Class names that its file mentions and Keras does not know."""
    architectures: Mapping[int, str] = field(default_factory=dict)
    """Of weights alone: architecture_id -> config (JSON), of those that may be theirs."""

    @property
    def model_id(self) -> int:
        return self.record.model_id

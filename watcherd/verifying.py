"""Verification: a model is given to TensorFlow, and what it said is written into the registry.

Three steps, so that the one in the middle, which may take minutes, can be another thread's:
``choose`` and ``conclude`` are the registry's, ``judge`` is TensorFlow's.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from watcherd.artifact import files_of
from watcherd.plan import ON_DISK, Format, Record, State
from watcherd.proof import Answer, Proof, Subject
from watcherd.registry import By, Registry, Root
from watcherd.registry.verifications import subject_of, write
from watcherd.root import open_root
from watcherd.scan import fact_of
from watcherd.verify import Died, Opener, laid_out


def choose(registry: Registry, root: Root, model_id: int) -> Subject | None:
    """What is to be opened of a model; None where there is nothing, or it is changing now."""
    subject = subject_of(registry, model_id)
    return subject if subject is not None and _is_there(root, subject.record) else None


def why_not(row: Mapping[str, Any] | None) -> str:
    """Why nothing could be said of a model, by its row, for a person."""
    if row is None:
        return "it is not known any more"
    if row["state"] != State.PRESENT:
        why = f": {row['reason']}" if row["reason"] and row["state"] in ON_DISK else ""
        return f"it is {row['state']}{why}; {_NEXT[State(row['state'])]}"
    if row["format"] == Format.HDF5:
        return "it is HDF5, but no model of Keras: nothing that TensorFlow opens"
    return "it is changing, or may not be read; watcherd reconcile looks at it again"


_NEXT = {
    State.INCOMPLETE: "it can be opened when it is whole",
    State.UNREADABLE: "save it anew, or remove it (watcherd rm)",
    State.MISSING: "watcherd history tells since when",
    State.TRASHED: "watcherd restore brings it back",
    State.DELETED: "watcherd history tells since when",
}


def judge(opener: Opener, root: Root, subject: Subject) -> Proof | None:
    """Have it opened; None where its files are there no more, or may not be read.

    A process may be killed for want of memory, or starve beside busy trainers: one that dies proves
    nothing, and the model has a second one to itself. Raises VerifyError.
    """
    size_bytes = sum(part.fact.size for part in subject.record.parts)
    with laid_out(Path(root.path), subject.record, subject.format) as folder:
        question = _question(folder, subject)
        answer = opener.ask(question, size_bytes)
        if isinstance(answer, Died):
            answer = opener.ask(question, size_bytes)
        return _proof_of(answer, opener.judge, f"{folder}/")


def conclude(registry: Registry, root: Root, subject: Subject, proof: Proof | None, by: By) -> bool:
    """Write what was said, if the model is what was opened still; whether it was written.

    No ctime goes back: files with the facts that the registry knows had them all the while.
    """
    if proof is None:
        return False
    record = subject.record
    return write(registry, subject, proof, by, time.time_ns(), lambda: _is_there(root, record))


def _is_there(root: Root, record: Record) -> bool:
    """Whether the files that hold the model are what the registry knows. Raises RootSuspended."""
    with suppress(OSError), open_root(Path(root.path), root.uuid) as root_fd:
        return all(fact_of(root_fd, one.path) == one.fact for one in files_of(record.parts))
    return False


def _question(folder: Path, subject: Subject) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "format": subject.format,
        "custom_objects": subject.custom_objects,
        "architectures": dict(subject.architectures),
    }


def _proof_of(answer: dict[str, Any] | Died, judge: str, folder: str) -> Proof | None:
    """``folder``, with which TensorFlow names the files, means nothing to a person."""
    if isinstance(answer, Died):
        return Proof(Answer.UNCLEAR if answer.is_no_proof else Answer.FAILED, answer.reason, judge)
    if answer["answer"] not in tuple(Answer):
        return None  # denied: it is told by the next look at the disk
    reason = answer.get("reason")
    return Proof(
        Answer(answer["answer"]),
        reason and reason.replace(folder, ""),
        judge,
        answer.get("architecture_id"),
    )

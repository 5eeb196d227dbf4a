"""What a path is, and why it has a row or none. Pure.

Each answer is a small function that knows one kind of thing, and says None of all others; the
first that speaks is right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from watcherd.artifact import Artifact, Form, Role
from watcherd.explain.differences import until_settled
from watcherd.explain.evidence import Evidence, Found
from watcherd.naming import is_ignored_folder, is_state_file, note_of, part_of
from watcherd.naming.foreign import foreign_file, foreign_folder
from watcherd.root import HOUSE
from watcherd.scope import is_text, is_within, lineage


class Kind(StrEnum):
    """What a path is to us."""

    MODEL = "model"
    PART = "part"
    """A file of a model."""
    STATE_FILE = "state_file"
    FOLDER = "folder"
    TEMPORARY = "temporary"
    FOREIGN = "foreign"
    """What trainers write beside their models, and every other file."""
    IGNORED = "ignored"
    SYMLINK = "symlink"
    BLIND = "blind"
    UNFIT = "unfit"
    """It looks like a model's file, and can be none."""
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path is, and why that is so: sentences for a person."""

    kind: Kind
    what: str
    reasons: tuple[str, ...] = ()


def answer(seen: Evidence) -> Answer | None:
    """What a path is; None where it is neither on disk nor in the registry."""
    return next(filter(None, (speak(seen) for speak in _ANSWERS)), None)


def _outside(seen: Evidence) -> Answer | None:
    if seen.path is not None or not seen.is_there:
        return None
    why = "nothing there is looked at: move it below the root to have it registered"
    return Answer(Kind.OUTSIDE, "outside the models root", (why,))


def _ours(seen: Evidence) -> Answer | None:
    if seen.path is None or not is_within(seen.path, HOUSE) or not seen.is_there:
        return None
    if seen.model is not None:
        return Answer(Kind.PART, f"in the trash, with model {seen.model['model_id']}")
    return Answer(Kind.IGNORED, "watcherd's own", (f"nothing in {HOUSE} is looked at",))


def _hidden(seen: Evidence) -> Answer | None:
    if seen.blind_spot is None:
        return None
    place, why = seen.blind_spot
    return Answer(
        Kind.BLIND,
        f"under a blind spot: {place or 'the models root'}",
        (why, "what is under it turns neither missing nor new, and is not pruned"),
    )


def _behind_link(seen: Evidence) -> Answer | None:
    if seen.sight.found is not Found.LINK or seen.sight.place == seen.path:
        return None
    what = f"behind a symlink: {seen.sight.place} leads to {seen.sight.why}"
    return Answer(Kind.SYMLINK, what, (_NOT_FOLLOWED,))


def _ignored(seen: Evidence) -> Answer | None:
    """By a pattern that it fits, or a folder above it."""
    for place in reversed(list(lineage(seen.path or ""))):
        if seen.is_there and place and (pattern := seen.naming.ignores(place)):
            return _ignored_by(seen, place, pattern)
    return None


def _ignored_by(seen: Evidence, place: str, pattern: str) -> Answer:
    name = place.rpartition("/")[2]
    ours = pattern in seen.naming.ignore
    why = f"models.ignore has {pattern}" if ours else f"names like {pattern} are always ignored"
    within = "" if place == seen.path else f"in {place}: "
    if is_ignored_folder(name) and (foreign := foreign_folder(name)):
        return Answer(Kind.TEMPORARY, within + foreign.words, (why,))
    what = "a folder" if within or seen.sight.found is Found.FOLDER else "a file"
    what += " that is hidden" if name.startswith(".") else " that is ignored"
    return Answer(Kind.IGNORED, within + what, (why,))


def _state_file(seen: Evidence) -> Answer | None:
    is_named_so = is_state_file(seen.name, seen.naming.state_files)
    if not is_named_so or seen.sight.found not in (Found.FILE, Found.LINK):
        return None
    if seen.disk.latest is None:
        says = "it names no checkpoint"
    elif seen.snapshot is not None and seen.disk.latest in seen.snapshot.artifacts:
        says = f"it names {seen.disk.latest}: a trainer resumes from it, and so it is never pruned"
    else:
        says = f"it names {seen.disk.latest}, which is not there: a trainer would start from zero"
    return Answer(Kind.STATE_FILE, "a state file", (says, "watcherd only reads it"))


def _link(seen: Evidence) -> Answer | None:
    if seen.sight.found is not Found.LINK:
        return None
    kept = "what it leads to below the root is never pruned"
    return Answer(Kind.SYMLINK, f"a symlink to {seen.sight.why}", (_NOT_FOLLOWED, kept))


def _unfit(seen: Evidence) -> Answer | None:
    """What looks like a model's file and is none; the scan says why."""
    skipped = seen.snapshot.skipped if seen.snapshot is not None else {}
    if (why := skipped.get(seen.path or "")) and seen.path:
        return Answer(Kind.UNFIT, "no model", (why,))
    if seen.path is None or is_text(seen.path) or not seen.is_there:
        return None
    return Answer(Kind.UNFIT, "no model", ("its path is not UTF-8: rename it",))


def _model(seen: Evidence) -> Answer | None:
    """An artifact, or a file of one: on disk, in the registry, or both."""
    artifact = seen.artifact
    if artifact is None:
        return _once_here(seen)
    reasons = _why_no_row(seen, artifact)
    if part := seen.part_in(artifact):
        what = f"{_ROLES[part.role]} of the {_FORMS[artifact.form]} {artifact.path}"
        return Answer(Kind.PART, what, reasons)
    if seen.path != artifact.path:
        return _once_here(seen)
    return Answer(Kind.MODEL, f"{_ARTICLES[artifact.form]} {_FORMS[artifact.form]}", reasons)


def _once_here(seen: Evidence) -> Answer | None:
    """A row whose files are not at the path."""
    if seen.model is None:
        return None
    now = seen.model["path"]
    if seen.path is None or seen.path == now:
        return Answer(Kind.MODEL, "a model that is not on disk")
    history = seen.known.history if seen.known else ()
    moved = [line["at"] for line in history if line["from_path"] == seen.path]
    if moved:
        return Answer(Kind.MODEL, f"a model that was here: {now}", (f"it moved at {moved[-1]}",))
    return Answer(Kind.PART, f"once a file of {now}", ("it is not there any more",))


def _why_no_row(seen: Evidence, artifact: Artifact) -> tuple[str, ...]:
    """Why an artifact has none, or is unplaced in it."""
    placement = seen.naming.place(artifact.path, artifact.form)
    tried = " or ".join(seen.naming.layouts)
    unplaced = (f"unplaced: {placement.unplaced}", f"models.layout is {tried}")
    told = unplaced if placement.unplaced else ()
    if seen.has_row:
        return told
    if settling := seen.settling_at(artifact.path):
        return (f"no row yet: {until_settled(settling)}", *told)
    if seen.known is None:
        return (NO_REGISTRY, *told)
    return (f"no row yet: watcherd reconcile {artifact.path} looks at it now", *told)


def _folder(seen: Evidence) -> Answer | None:
    if seen.sight.found is not Found.FOLDER:
        return None
    unknown = () if seen.known else (NO_REGISTRY,)
    if (artifact := seen.artifact_around) is not None:
        what = f"a folder of the {_FORMS[artifact.form]} {artifact.path}"
        return Answer(Kind.FOLDER, what, unknown)
    if seen.known is None:
        return Answer(Kind.FOLDER, "a folder", unknown)
    count = sum(seen.known.counts.values())
    holds = {0: "no models", 1: "1 model"}.get(count, f"{count:,} models")
    return Answer(Kind.FOLDER, f"a folder with {holds}")


def _note(seen: Evidence) -> Answer | None:
    named = note_of(seen.name)
    if named is None or seen.sight.found is not Found.FILE:
        return None
    why = "a note makes no model by itself; it is read when its model comes"
    return Answer(Kind.FOREIGN, f"the note of {named}, which is not there", (why,))


def _graph(seen: Evidence) -> Answer | None:
    """``P.meta`` alone: beside an index or a shard it would be a part."""
    part = part_of(seen.name)
    if part is None or part.role is not Role.GRAPH or seen.sight.found is not Found.FILE:
        return None
    what = f"the graph of the checkpoint {part.artifact}, which is not there"
    return Answer(Kind.FOREIGN, what, ("a graph alone is what a trainer left behind",))


def _foreign(seen: Evidence) -> Answer | None:
    foreign = foreign_file(seen.name)
    if foreign is None or seen.sight.found is not Found.FILE:
        return None
    if foreign.is_temporary:
        return Answer(Kind.TEMPORARY, foreign.words, ("it is renamed when the save is whole",))
    return Answer(Kind.FOREIGN, foreign.words, ("no model is made of it",))


def _file(seen: Evidence) -> Answer | None:
    match seen.sight.found:
        case Found.FILE:
            return Answer(Kind.FOREIGN, "a file of no model", (_WHAT_IS_TAKEN,))
        case Found.OTHER:
            return Answer(Kind.UNFIT, "a pipe, a socket or a device", ("no file at all",))
    return None


NO_REGISTRY = "there is no registry yet: watcherd reconcile makes one, and so does watcherd run"
_NOT_FOLLOWED = "no symlink below the models root is followed"
_WHAT_IS_TAKEN = (
    "its name is none of .h5, .hdf5, .keras, a checkpoint's (.index, .data-...) or a SavedModel's"
)

_ANSWERS: tuple[Callable[[Evidence], Answer | None], ...] = (
    _outside,
    _ours,
    _hidden,
    _behind_link,
    _ignored,
    _state_file,
    _link,
    _unfit,
    _model,
    _folder,
    _note,
    _graph,
    _foreign,
    _file,
)

_ROLES = {
    Role.H5: "the file",
    Role.KERAS: "the file",
    Role.INDEX: "the index",
    Role.SHARD: "a shard",
    Role.SHARD_V1: "a shard",
    Role.GRAPH: "the graph",
    Role.SAVED_MODEL: "the graph",
    Role.KERAS_METADATA: "Keras' metadata",
    Role.FINGERPRINT: "TensorFlow's fingerprint",
    Role.ASSET: "an asset",
    Role.TEMPORARY: "the folder for saving",
    Role.NOTE: "the note",
    Role.COMPANION: "a companion",
}
_FORMS = {
    Form.HDF5: "HDF5 file",
    Form.KERAS: ".keras file",
    Form.CHECKPOINT: "checkpoint",
    Form.SAVED_MODEL: "SavedModel",
}
_ARTICLES = {Form.HDF5: "an", Form.KERAS: "a", Form.CHECKPOINT: "a", Form.SAVED_MODEL: "a"}

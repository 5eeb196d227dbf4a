"""The names of one folder → its artifacts, and what looks like one and is none. Pure.

A SavedModel is its folder: the listing of that folder yields it, with the files of ``variables/``
and ``assets/`` below. Listed by themselves, those two yield nothing of it.

A note is a part of the artifact beside it, and makes none by itself. Which files accompany an
artifact only the note's content tells: of all that may, the names and facts are handed on.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from watcherd.artifact import Artifact, FileFact, Form, Part, Role
from watcherd.listing import FILE, LINK, Row
from watcherd.naming import (
    ASSET_FOLDERS,
    GRAPHS,
    VARIABLES,
    Naming,
    is_inside_saved_model,
    is_state_file,
    note_name,
    note_of,
    part_of,
    part_of_v1,
    private_by,
    role_in_saved_model,
    temporary_of,
    unfit_as_companion,
)
from watcherd.scope import is_text

NOT_FOLLOWED = "a symlink, which is never followed"
_PRIVATE = (
    "Keras' BackupAndRestore writes it for itself, and deletes it when training is done; to have it"
    " registered, copy it out of its folder"
)

Inside = Callable[[str], tuple[Collection[str], Iterable[Row]]]
"""Lists a folder in the one that is grouped: names of folders, rows. Empty where it is gone."""
Facts = Callable[[str], FileFact | None]
"""The facts of a path below or beside the folder; None where nothing is there."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """What the names of a folder are. Paths are below the root."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    below: list[str] = field(default_factory=list)
    """The folders to look into."""
    state_files: list[str] = field(default_factory=list)
    """Names, not paths."""
    beside: dict[str, FileFact] = field(default_factory=dict)
    """Files that a note here may name as companions; empty where no artifact has a note."""
    unfollowed: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def group(
    folder: str,
    names: Collection[str],
    rows: Collection[Row],
    naming: Naming,
    fact_of: Facts,
    inside: Inside,
) -> Grouped:
    """Group the files (``rows``) and folders (``names``) of one folder.

    ``fact_of`` is asked for temporary folders, which are parts of the checkpoint whose save is
    under way, and around SavedModels; ``inside`` for the folders of a SavedModel alone.
    """
    grouped = Grouped()
    if not rows and VARIABLES not in names:
        # Most folders of a large tree hold folders alone.
        _sort_folders(folder, names, grouped)
        return grouped
    if _holds_assets(folder, fact_of):
        return grouped
    parts = _parts(folder, rows, naming, grouped)
    temporary = _sort_folders(folder, names, grouped)
    notes = _notes(folder, rows, naming)
    for (name, form), found in parts.items():
        if kept := _without_leftovers(name, form, found, parts, grouped):
            if name in temporary and (fact := fact_of(temporary[name])):
                kept.append(Part(Role.TEMPORARY, join(folder, temporary[name]), fact))
            note = [notes[name]] if name in notes else []
            _take(join(folder, name), form, [*kept, *note], grouped)
    if any(join(folder, name) in grouped.artifacts for name in notes):
        grouped.beside.update(_beside(folder, rows, naming, grouped))
    if saved := _saved_model(folder, names, rows, naming, fact_of, inside):
        _take_saved_model(folder, saved, naming, fact_of, grouped)
    return grouped


def _take(path: str, form: Form, parts: Iterable[Part], grouped: Grouped) -> None:
    ordered = tuple(sorted(parts, key=lambda part: part.path))
    grouped.artifacts[path] = Artifact(path, form, ordered)


def _parts(
    folder: str, rows: Collection[Row], naming: Naming, grouped: Grouped
) -> defaultdict[tuple[str, Form], list[Part]]:
    """(artifact's name, form) -> its files."""
    parts: defaultdict[tuple[str, Form], list[Part]] = defaultdict(list)
    graphs = {name[: -len(_META)] for name, *_ in rows if name.endswith(_META)}
    for name, kind, *facts in rows:
        path = join(folder, name)
        part = part_of(name) or (part_of_v1(name, graphs) if graphs else None)
        if is_state_file(name, naming.state_files):
            grouped.state_files.append(name)
        elif kind == LINK:
            grouped.unfollowed[path] = NOT_FOLLOWED
        elif part is None or is_inside_saved_model(_name(folder), part):
            continue
        elif naming.ignores(path):
            grouped.ignored.extend((path, join(folder, part.artifact)))
        elif _is_private(name, rows):
            grouped.ignored.append(path)
            grouped.skipped[path] = _PRIVATE
        elif fault := _unfit(name, kind):
            grouped.skipped[path] = fault
        else:
            parts[part.artifact, part.form].append(Part(part.role, path, FileFact(*facts)))
    return parts


_META = ".meta"


def _notes(folder: str, rows: Iterable[Row], naming: Naming) -> dict[str, Part]:
    """Artifact's name -> its note, whether there is such an artifact or not."""
    return {
        artifact: Part(Role.NOTE, join(folder, name), FileFact(*facts))
        for name, kind, *facts in rows
        if (artifact := note_of(name))
        and not _unfit(name, kind)
        and not naming.ignores(join(folder, name))
    }


def _beside(
    folder: str, rows: Iterable[Row], naming: Naming, grouped: Grouped
) -> Iterator[tuple[str, FileFact]]:
    """The files that belong to no artifact, and that a note may name."""
    taken = {part.path for artifact in grouped.artifacts.values() for part in artifact.parts}
    for name, kind, *facts in rows:
        path = join(folder, name)
        unfit = _unfit(name, kind) or unfit_as_companion(name) or path in taken
        if not (unfit or is_state_file(name, naming.state_files) or naming.ignores(path)):
            yield path, FileFact(*facts)


def _unfit(name: str, kind: str) -> str | None:
    """Why a file can be no part of an artifact, whatever it is called."""
    if not is_text(name):
        return "its name is not UTF-8: rename it to have it registered"
    return None if kind == FILE else "not a regular file (a pipe, a socket, a device)"


def _is_private(name: str, rows: Collection[Row]) -> bool:
    known_by = private_by(name)
    return bool(known_by) and any(other in known_by for other, *_ in rows)


def _without_leftovers(
    name: str,
    form: Form,
    found: list[Part],
    parts: Collection[tuple[str, Form]],
    grouped: Grouped,
) -> list[Part]:
    """The parts that make an artifact; none where they are what a trainer left behind."""
    if all(part.role is Role.GRAPH for part in found):
        return []
    if form is not Form.CHECKPOINT:
        return found
    if (name, Form.HDF5) in parts or (name, Form.KERAS) in parts:
        # One path is one model; the file that really has the path takes it.
        grouped.skipped[found[0].path] = f"{name} is a file of its own"
        return []
    if not {Role.INDEX, Role.SHARD} & {part.role for part in found}:
        return found
    older = [part for part in found if part.role is Role.SHARD_V1]
    grouped.skipped.update(
        (part.path, f"{name} is saved in the newer format, too") for part in older
    )
    return [part for part in found if part.role is not Role.SHARD_V1]


def _holds_assets(folder: str, fact_of: Facts) -> bool:
    """Whether it is the ``assets/`` of a SavedModel: nothing in it is a model of its own."""
    return _name(folder) in ASSET_FOLDERS and any(fact_of(f"../{name}") for name in GRAPHS)


def _saved_model(
    folder: str,
    names: Collection[str],
    rows: Iterable[Row],
    naming: Naming,
    fact_of: Facts,
    inside: Inside,
) -> list[Part]:
    """The parts of the SavedModel that a folder is; none where it isn't one."""
    here = list(_members(folder, "", rows, naming))
    if any(part.role is Role.SAVED_MODEL for part in here):
        below = [name for name in (VARIABLES, *ASSET_FOLDERS) if name in names]
    else:  # its save may be under way, or broken off: TensorFlow writes the variables first
        below = [VARIABLES] if VARIABLES in names else []
    for name in below:
        found, inner = inside(name)
        here += _members(folder, name, inner, naming)
        for temporary in found:
            path = f"{name}/{temporary}"
            if temporary_of(temporary) == VARIABLES == name and (fact := fact_of(path)):
                here.append(Part(Role.TEMPORARY, join(folder, path), fact))
    roles = {part.role for part in here}
    return here if {Role.SAVED_MODEL, Role.INDEX, Role.SHARD} & roles else []


def _members(folder: str, below: str, rows: Iterable[Row], naming: Naming) -> Iterator[Part]:
    """The files that belong to a SavedModel, of its folder or of one below it."""
    for name, kind, *facts in rows:
        role = role_in_saved_model(name, below)
        path = join(folder, join(below, name))
        if role and not _unfit(name, kind) and not naming.ignores(path):
            yield Part(role, path, FileFact(*facts))


def _take_saved_model(
    folder: str, parts: list[Part], naming: Naming, fact_of: Facts, grouped: Grouped
) -> None:
    if not folder:
        grouped.skipped[parts[0].path] = (
            "a SavedModel is its folder, and the models root can be none: move it to a folder below"
        )
    elif fact_of(f"../{_name(folder)}.index"):
        # One path is one model, and this look does not see the parent's names.
        grouped.skipped[parts[0].path] = (
            f"a checkpoint beside this folder has its name, {_name(folder)}: rename one of the two"
        )
    else:
        note = note_name(_name(folder))
        if (fact := fact_of(f"../{note}")) and not naming.ignores(note_name(folder)):
            parts = [*parts, Part(Role.NOTE, note_name(folder), fact)]
        _take(folder, Form.SAVED_MODEL, parts, grouped)


def _sort_folders(folder: str, names: Iterable[str], grouped: Grouped) -> dict[str, str]:
    """Checkpoint prefix -> the temporary folder beside it; the others are to be looked into."""
    temporary: dict[str, str] = {}
    for name in names:
        if prefix := temporary_of(name):
            temporary[prefix] = name
        elif is_text(name):
            grouped.below.append(join(folder, name))
        else:
            grouped.skipped[join(folder, name)] = (
                "its name is not UTF-8: nothing in it is registered"
            )
    return temporary


def folders_in(folder: str, names: Iterable[str]) -> list[str]:
    """The folders to look into, by the names of those in a folder."""
    return [join(folder, name) for name in names if is_text(name) and not temporary_of(name)]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def join(folder: str, name: str) -> str:
    """A path below the root."""
    return f"{folder}/{name}" if folder else name

"""The names of one folder → its artifacts, and what looks like one and is none. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from watcherd.artifact import Artifact, FileFact, Form, Part, Role
from watcherd.listing import FILE, LINK, Row
from watcherd.naming import Naming, is_state_file, part_of, temporary_of
from watcherd.scope import is_text

NOT_FOLLOWED = "a symlink, which is never followed"


@dataclass(frozen=True, slots=True)
class Grouped:
    """What the names of a folder are. Paths are below the root."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    below: list[str] = field(default_factory=list)
    """The folders to look into."""
    state_files: list[str] = field(default_factory=list)
    """Names, not paths."""
    unfollowed: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def group(
    folder: str,
    names: Iterable[str],
    rows: Iterable[Row],
    naming: Naming,
    fact_of: Callable[[str], FileFact | None],
) -> Grouped:
    """Group the files (``rows``) and folders (``names``) of one folder.

    ``fact_of`` tells the facts of a folder in it: a temporary folder is a part of the checkpoint
    whose save is under way. It is asked for those alone.
    """
    grouped = Grouped()
    parts = _parts(folder, rows, naming, grouped)
    temporary = _sort_folders(folder, names, grouped)
    for (name, form), found in parts.items():
        path = join(folder, name)
        if all(part.role is Role.GRAPH for part in found):
            continue  # what its trainer left behind
        if form is Form.CHECKPOINT and (name, Form.HDF5) in parts:
            # One path is one model; the file that really has the path takes it.
            grouped.skipped[found[0].path] = f"{name} is an HDF5 file of its own"
            continue
        if name in temporary and (fact := fact_of(temporary[name])):
            found.append(Part(Role.TEMPORARY, join(folder, temporary[name]), fact))
        ordered = tuple(sorted(found, key=lambda part: part.path))
        grouped.artifacts[path] = Artifact(path, form, ordered)
    return grouped


def _parts(
    folder: str, rows: Iterable[Row], naming: Naming, grouped: Grouped
) -> defaultdict[tuple[str, Form], list[Part]]:
    """(artifact's name, form) -> its files."""
    parts: defaultdict[tuple[str, Form], list[Part]] = defaultdict(list)
    for name, kind, *facts in rows:
        path = join(folder, name)
        part = part_of(name)
        if is_state_file(name, naming.state_files):
            grouped.state_files.append(name)
        elif kind == LINK:
            grouped.unfollowed[path] = NOT_FOLLOWED
        elif part is None:
            continue
        elif naming.ignores(path):
            grouped.ignored.extend((path, join(folder, part.artifact)))
        elif not is_text(name):
            grouped.skipped[path] = "its name is not UTF-8: rename it to have it registered"
        elif kind != FILE:
            grouped.skipped[path] = "not a regular file (a pipe, a socket, a device)"
        else:
            parts[part.artifact, part.form].append(Part(part.role, path, FileFact(*facts)))
    return parts


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


def join(folder: str, name: str) -> str:
    """A path below the root."""
    return f"{folder}/{name}" if folder else name

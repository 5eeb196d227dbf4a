"""An artifact's way into the trash, back, and out of the world.

A checkpoint leaves index first and returns index last, a SavedModel likewise by its graph, so that
whoever looks at any instant sees a whole model or none. Every verb here can be stopped anywhere and
called again with the same arguments: what is where is read from the disk, and what is already done
is not done again.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from watcherd.artifact import Part
from watcherd.errors import TrashError
from watcherd.scope import lineage, parent_of
from watcherd.trash import calls
from watcherd.trash.entry import CONTENT, DRAFT, MANIFEST, TRASH, Entry, Held, name_of
from watcherd.trash.faults import explained
from watcherd.trash.folders import dress, open_folder
from watcherd.trash.manifest import read_manifest, write_manifest
from watcherd.trash.transit import KEPT, SAME, UNTOUCHED, Transit, opened

OWNER_AND_GROUP = 0o2770
"""Of a folder's mode, what its folder in the trash keeps: nobody may reach a model there who could
not reach it before, and the folders above its old place may have kept others out."""


def move_out(
    root_fd: int, entry: Entry, manifest: Mapping[str, object], *, sync: bool = True
) -> None:
    """Move an artifact into its folder in the trash.

    ``root_fd`` is the descriptor of the models root. ``manifest`` is written beside the files, with
    their names and facts, before the first of them moves. ``sync=False`` leaves the waiting for the
    disk to one ``sync_folders`` for many entries, the failed ones included.

    Raises TrashError. Nothing moves unless every part is what was decided upon; where a later step
    fails, what was moved is put back, the index last and only to a whole checkpoint. ``holds`` then
    tells whether something stayed in the trash because its place is taken.
    """
    with opened(root_fd, entry) as transit:
        try:
            _check_leaving(transit)
            _prepare(transit, manifest, sync)
            for part in entry.leaving:
                if not transit.is_trashed(part):
                    transit.take(part)
            transit.vacate()
        except TrashError as error:
            _retreat(transit)
            raise _with_whereabouts(transit, error) from error
        finally:
            if sync:
                _sync_all(root_fd, (*entry.trash_folders, *entry.folders))


def bring_back(root_fd: int, entry: Entry, *, sync: bool = True) -> None:
    """Move an artifact from the trash to where it was; folders that are gone are made again.

    Raises TrashError, and nothing has moved, where something is in the way or a part is no longer
    in the trash. Where a later step fails, what was moved returns to the trash, the index first.
    """
    with opened(root_fd, entry) as transit:
        _check_returning(transit)
        try:
            _return(transit)
        except TrashError as error:
            _withdraw(transit)
            raise _with_whereabouts(transit, error) from error
        finally:
            if sync:
                _sync_all(root_fd, (*entry.trash_folders, *entry.folders))
        transit.clear()


def holds(root_fd: int, entry: Entry) -> Held:
    """How much of an artifact lies in the trash, with the size and mtime that were decided upon."""
    with opened(root_fd, entry, places=False) as transit:
        held = [transit.is_trashed(part) for part in entry.parts]
    if all(held):
        return Held.WHOLE
    return Held.PARTLY if any(held) else Held.NOTHING


def purge(root_fd: int, entry: Entry) -> int:
    """Remove an artifact from the trash for good; returns the bytes of the files removed.

    Only what the manifest lists and the entry's facts fit is removed (where a power cut ate the
    manifest, what the entry lists). Anything else stays, and with it the folder and the manifest.
    Raises TrashError where the artifact lies whole between trash and place: it can be saved.
    """
    if _is_halfway(root_fd, entry):
        raise TrashError(
            f"{entry.path}: lies partly in the trash, partly in its place; nothing was removed",
            hint="Restore it, or let the next cycle finish what was interrupted.",
        )
    with opened(root_fd, entry, places=False) as transit:
        freed = sum(transit.destroy(part) for part in _listed(transit))
        transit.clear()
    return freed


def tidy(root_fd: int, entry: Entry) -> None:
    """Remove the folder that was made in the trash for what never came there.

    Never raises: what could not be removed is listed as a leftover.
    """
    with suppress(TrashError), opened(root_fd, entry, places=False) as transit:
        transit.clear()


def sync_folders(root_fd: int, entries: Iterable[Entry]) -> None:
    """Wait until the moves of these entries have reached the disk: each folder once (fsync(2)).

    Of a move the user's folder is enough, as a rename is one step of the file system's journal. The
    entries' own folders in the trash are left out: a flush of the disk for each model would take
    ten times as long as all the rest. Folders that are gone need no waiting. Raises TrashError
    where the disk fails.
    """
    _sync_all(root_fd, (TRASH, *(folder for entry in entries for folder in entry.folders)))


def _sync_all(root_fd: int, ends: Iterable[str]) -> None:
    for path in sorted({folder for end in set(ends) for folder in lineage(end)}):
        _sync(root_fd, path)


def _check_leaving(transit: Transit) -> None:
    """Raises TrashError unless each part is untouched in its folder or already in the trash."""
    for part in transit.entry.leaving:
        if transit.is_double(part):
            transit.give(part)
        if not (transit.is_trashed(part) or transit.is_in_place(part, UNTOUCHED)):
            raise _refusal(part, gone=transit.in_place(part) is None)


def _refusal(part: Part, *, gone: bool) -> TrashError:
    if gone:
        return TrashError(
            f"{part.path}: is gone; the trainer or a person removed it since the decision",
            hint="Nothing to do: the next cycle records it.",
        )
    return TrashError(
        f"{part.path}: changed since the decision, and is left alone",
        hint="Nothing to do: the next cycle reads it, the next prune decides anew.",
    )


def _prepare(transit: Transit, manifest: Mapping[str, object], sync: bool) -> None:
    """The folder in the trash and its manifest, unless they are there and say the same."""
    entry = transit.entry
    trash = transit.make(entry.trash_path)
    with explained(entry.trash_path):
        known = read_manifest(trash, entry.trash_path).entry
        if known is not None and known != entry and set(os.listdir(trash)) - {MANIFEST, DRAFT}:
            raise _taken(entry, known)
        if known != entry:
            like = transit.open(parent_of(entry.leaving[0].path))
            dress(trash, trash if like is None else like, OWNER_AND_GROUP)
            write_manifest(trash, entry, manifest, sync)
    for folder in transit.trash_folders:
        transit.make(folder)


def _taken(entry: Entry, known: Entry) -> TrashError:
    return TrashError(
        f"{entry.path}: its place in the trash, {entry.trash_path}, holds {known.path} already",
        hint="Nothing was moved. Move that folder aside, then prune again.",
    )


def _retreat(transit: Transit) -> None:
    """Put back what was moved, as far as its place is free. Never raises: an error is under way."""
    for part in transit.entry.returning:
        with suppress(TrashError):
            if transit.is_trashed(part) and _may_return(transit, part):
                transit.give(part)
    transit.clear()


def _may_return(transit: Transit, part: Part) -> bool:
    """An index returns only to its own shards: beside new ones it would pass for a checkpoint."""
    leaving = transit.entry.leaving
    after = leaving[leaving.index(part) + 1 :]
    return not transit.entry.is_head(part) or all(
        transit.is_in_place(other, SAME) for other in after if other.role in CONTENT
    )


def _check_returning(transit: Transit) -> None:
    """Raises TrashError where a part is in neither place, or something else is in its place."""
    blocked, lost = [], []
    for part in transit.entry.returning:
        trashed = transit.is_trashed(part)
        if trashed and transit.in_place(part) is not None and not transit.is_double(part):
            blocked.append(part.path)
        if not trashed and not transit.is_in_place(part, KEPT):
            lost.append(name_of(part))
    if blocked:
        raise TrashError(
            f"{', '.join(blocked)}: in the way of {transit.entry.path}, nothing was moved",
            hint="Move it aside or rename it, then restore again.",
        )
    if lost:
        raise TrashError(
            f"{transit.entry.path}: no longer whole in the trash, nothing was moved; missing or "
            f"changed: {', '.join(lost)}",
            hint=f"What is left of it lies in {transit.entry.trash_path}; move it back by hand.",
        )


def _return(transit: Transit) -> None:
    for part in transit.entry.returning:
        if transit.is_trashed(part):
            transit.make(parent_of(part.path))
            transit.give(part)


def _withdraw(transit: Transit) -> None:
    """Take back into the trash what ``bring_back`` moved. Never raises: an error is under way.

    Not once the head has returned: it comes last, so the artifact is whole in its place.
    """
    leaving = transit.entry.leaving
    with suppress(TrashError):
        if not transit.is_in_place(leaving[0], SAME):
            for part in leaving:
                _take_back(transit, part)
            transit.vacate()


def _take_back(transit: Transit, part: Part) -> None:
    with suppress(TrashError):
        if transit.in_trash(part) is None and transit.is_in_place(part, SAME):
            transit.take(part)


def _with_whereabouts(transit: Transit, error: TrashError) -> TrashError:
    """The error, and where the files are if they are in both places."""
    with suppress(TrashError):
        names = [name_of(part) for part in transit.entry.parts if transit.in_trash(part)]
        if 0 < len(names) < len(transit.entry.parts):
            return TrashError(
                f"{error.message}; in {transit.entry.trash_path} lies: {', '.join(names)}",
                hint=f"{error.hint} If the other files still belong to that, move it by hand.",
            )
    return error


def _is_halfway(root_fd: int, entry: Entry) -> bool:
    """Whether a move was interrupted that can still be finished without losing a part."""
    with suppress(TrashError), opened(root_fd, entry) as transit:
        placed = [part for part in entry.parts if transit.is_in_place(part, SAME)]
        others = [part for part in entry.parts if part not in placed]
        return bool(placed and others) and all(transit.is_trashed(part) for part in others)
    return False


def _listed(transit: Transit) -> tuple[Part, ...]:
    entry = transit.entry
    trash = transit.open(entry.trash_path)
    described = read_manifest(trash, entry.trash_path).entry if trash is not None else None
    listed = {part.path for part in (described or entry).parts}
    return tuple(part for part in entry.leaving if part.path in listed)


def _sync(root_fd: int, path: str) -> None:
    folder = open_folder(root_fd, path)
    if folder is None:
        return
    try:
        with explained(path):
            calls.sync(folder)
    finally:
        os.close(folder)

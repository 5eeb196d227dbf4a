"""What forbids removing a model at this moment: the guards that need more than its row, such as the
disk and other processes.

Each is a small function that says why a candidate must stay, or None. They are asked of what the
rules would remove, after its folder was looked at again.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Protocol

from watcherd.artifact import Part
from watcherd.cycle import Cycle
from watcherd.errors import RootSuspended
from watcherd.grouping import join
from watcherd.naming import Naming
from watcherd.openers import find_openers
from watcherd.reconciler import Reconciler
from watcherd.registry.intents import load_parts
from watcherd.registry.links import load_links
from watcherd.root import open_root
from watcherd.scan import latest_below
from watcherd.scope import lineage, parent_of


class Named(Protocol):
    """What the guards know a model by: a candidate of the rules, or what a person named."""

    @property
    def model_id(self) -> int: ...
    @property
    def path(self) -> str: ...


Guard = Callable[[Named], str | None]
Files = Mapping[int, Sequence[Part]]
"""model_id -> its files."""


def find_held(
    reconciler: Reconciler, removing: Sequence[Named], cycles: Iterable[Cycle] = ()
) -> dict[str, str]:
    """Path -> why it must stay, of those candidates that must.

    ``cycles`` are the looks at their folders a moment ago.
    """
    if not removing:
        return {}
    registry, root = reconciler.registry, reconciler.root
    files = load_parts(registry, [one.model_id for one in removing])
    links = load_links(registry, root.root_id)
    guards = (
        *(guard for cycle in cycles for guard in (is_changing(cycle), is_unseen(cycle))),
        is_ignored(reconciler.naming, files),
        is_behind_link(links),
        is_target(targets_of(links, root.path), files),
        is_named_from_above(reconciler, removing),
        is_open(find_openers(part for parts in files.values() for part in parts), files),
    )
    said = {one.path: _first(guard(one) for guard in guards) for one in removing}
    return {path: why for path, why in said.items() if why}


def _first(reasons: Iterable[str | None]) -> str | None:
    return next(filter(None, reasons), None)


def is_changing(cycle: Cycle) -> Guard:
    """It settles, or changed while it was looked at."""
    changing = {*(one.path for one in cycle.plan.settling), *cycle.unfinished}
    return lambda one: "it is changing" if one.path in changing else None


def is_unseen(cycle: Cycle) -> Guard:
    """It, or a folder above it, could not be looked at."""

    def guard(one: Named) -> str | None:
        blind = next((above for above in lineage(one.path) if above in cycle.blind), None)
        if blind is None:
            return None
        return f"could not be looked at: {blind or 'the root'}: {cycle.blind[blind]}"

    return guard


def is_ignored(naming: Naming, files: Files) -> Guard:
    """The settings say to leave it alone."""

    def guard(one: Named) -> str | None:
        pattern = _first(naming.ignores(part.path) for part in files.get(one.model_id, ()))
        return f"ignored by {pattern}" if pattern else None

    return guard


def is_behind_link(links: Iterable[str]) -> Guard:
    """A folder above it is a symlink by now: what is there is not ours to remove."""
    known = frozenset(links)

    def guard(one: Named) -> str | None:
        link = next((above for above in lineage(one.path) if above in known), None)
        return None if link is None else f"{link} is a symlink, which is never followed"

    return guard


def targets_of(links: Iterable[str], root: str) -> dict[str, str]:
    """Where symlinks lead to below the root -> the link; through others, too."""
    ends = ((os.path.realpath(f"{root}/{link}"), link) for link in sorted(links))
    return {os.path.relpath(end, root): link for end, link in ends if end.startswith(f"{root}/")}


def is_target(targets: Mapping[str, str], files: Files) -> Guard:
    """A symlink leads to one of its files, to its folder, or to a folder above."""

    def guard(one: Named) -> str | None:
        paths = (one.path, *(part.path for part in files.get(one.model_id, ())))
        places = (above for path in paths for above in lineage(path))
        link = next((targets[place] for place in places if place in targets), None)
        return None if link is None else f"the symlink {link} leads to it"

    return guard


def is_named_from_above(reconciler: Reconciler, models: Iterable[Named]) -> Guard:
    """A state file in a folder above names it, or cannot be read and may name any model below.

    Those of the models' own folders the cycle reads (``Record.resume``). Where the root is not
    there, nothing goes anyway.
    """
    root, naming = reconciler.root, reconciler.naming
    above = {place for one in models for place in lineage(parent_of(parent_of(one.path)))}
    named, unread = dict[str, str](), dict[str, str]()
    with suppress(RootSuspended), open_root(Path(root.path), root.uuid) as root_fd:
        for folder, name in product(sorted(above), naming.state_files):
            try:
                path = latest_below(root_fd, root.path, folder, name)
            except OSError:
                unread[folder] = join(folder, name)
            else:
                named |= {path: join(folder, name)} if path else {}

    def guard(one: Named) -> str | None:
        if file := named.get(one.path):
            return f"named by the state file {file}: a trainer resumes from it"
        file = _first(unread.get(place) for place in lineage(one.path))
        return file and f"the state file {file} cannot be read, and may name it"

    return guard


def is_open(openers: Mapping[str, str], files: Files) -> Guard:
    """Another process has one of its files open, or locks it."""

    def guard(one: Named) -> str | None:
        return _first(openers.get(part.path) for part in files.get(one.model_id, ()))

    return guard

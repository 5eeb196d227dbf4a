"""Connects a registry and a models root, by the marker that the root bears."""

import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from watcherd.errors import RootSuspended, TrashError
from watcherd.registry import Registry, Root
from watcherd.root import Marker, moving_files, new_marker, open_root, read_marker, write_marker


def meet(registry: Registry, root: Root, root_fd: int) -> Root:
    """Put our marker on the root, or take note of the one that it bears.

    A marker that was there before this registry means a registry was lost or restored: nothing is
    pruned then until a person says so. A root that we may only read works too: without a marker,
    and without pruning.
    """
    try:
        with moving_files(root_fd):
            return _met(registry, root, root_fd)
    except (RootSuspended, TrashError):
        return root


def _met(registry: Registry, root: Root, root_fd: int) -> Root:
    """One process at a time: another of this registry may have met the root meanwhile."""
    known = registry.root(root.path)
    if known is not None and known.uuid is not None:
        return known
    marker = read_marker(root_fd)
    is_new = marker is None
    if marker is None:
        marker = new_marker(registry.url)
        write_marker(root_fd, marker)
    return registry.mark_root(root, uuid=marker.uuid, host=marker.host, prune_confirmed=is_new)


def adopt(registry: Registry, root: Root, actor: str, *, now: int) -> Root:
    """Take the folder at the root's path for the root, at a person's word.

    Its marker names this host from now on: the one that had it before prunes it no more. Where
    that cannot be written, this one doesn't either. ``now`` is in ns since the epoch. Raises
    RootSuspended where there is no folder, or no marker and none can be written.
    """
    with open_root(Path(root.path), None) as root_fd:
        known = _marker_or_none(root_fd)
        marker = new_marker(registry.url)
        if known is None:
            write_marker(root_fd, marker)
        else:
            marker = replace(marker, uuid=known.uuid)
            with suppress(RootSuspended):
                write_marker(root_fd, marker)
    return registry.adopt(root, marker.uuid, host=socket.gethostname(), actor=actor, now=now)


def _marker_or_none(root_fd: int) -> Marker | None:
    """A marker that cannot be read is as good as none to a person who adopts the root."""
    try:
        return read_marker(root_fd)
    except RootSuspended:
        return None

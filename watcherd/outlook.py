"""How things stand, for ``status``: what the daemon said last, and what a look at the disk says."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from watcherd import status
from watcherd.config import Settings, naming_of
from watcherd.daemon import ask, home_of
from watcherd.errors import RootSuspended, TrashError
from watcherd.plan import Change, Settling
from watcherd.prospects import look_ahead
from watcherd.purging import measure_space
from watcherd.reconciler import Reconciler
from watcherd.registry import iso, path_of
from watcherd.registry.copies import list_copies
from watcherd.registry.intents import known_places
from watcherd.registry.totals import sum_trash
from watcherd.root import open_root
from watcherd.scope import ROOT, Cause, Request
from watcherd.survey import forgotten, survey
from watcherd.wiring import looking

LOOK_AGAIN = 0.1
"""Seconds between two looks while waiting, at the least."""

Outlook = dict[str, Any]
"""As JSON (docs/commands.md)."""


def look_at(settings: Settings, *, wait: float | None) -> Outlook:
    """Daemon, root, registry; with ``wait`` (seconds) also whether the registry equals the disk.

    Never writes anything. Without ``wait`` the disk is looked through for a limited time only.
    Raises RegistryError.
    """
    told = ask(settings)
    if told is None:
        told = _waiting(settings)
    outlook = _told(settings, told)
    try:
        with open_root(settings.models.root, None) as root_fd:
            outlook["survey"] = survey(root_fd, naming_of(settings), now=time.time_ns()).as_json()
        # After the root: the registry is usually below it.
        with looking(settings) as reconciler:
            reconciler.check_root()
            if told is None:
                outlook["blind"] = outlook["survey"]["blind"] | reconciler.lost_mounts()
            if wait is not None:
                waited = _wait_until_true(reconciler, wait)
                outlook |= waited | {"blind": outlook["blind"] | waited["blind"]}
            outlook |= _ask_registry(settings, reconciler)
            outlook["survey"]["leftovers"] += _find_forgotten(reconciler)
    except RootSuspended as error:
        outlook["root"]["suspended"] = error.message
    return outlook


def _told(settings: Settings, told: Mapping[str, Any] | None) -> Outlook:
    """What the daemon says, and the rest as far as nobody has looked."""
    said = dict(told or {})
    return {
        "daemon": {"running": told is not None, **said},
        "root": {"path": str(settings.models.root), "suspended": said.get("suspended")},
        "registry": settings.registry.url,
        "copy": _newest_copy(settings),
        "models": {},
        "settling": [],
        "differing": [],
        # Its own count where it runs: it may be kept out where this user is let in.
        "blind": said.get("blind") or {},
        "schedule": said.get("schedule") or {},
        "survey": None,
        "trash": None,
        "disk": None,
        "forecast": None,
    }


def _newest_copy(settings: Settings) -> dict[str, Any] | None:
    """Of the registry, beside it."""
    path = path_of(settings.registry.url)
    with suppress(OSError):  # its folder is not there, or not for this user
        if path and (copies := list_copies(path, now=time.time_ns())):
            newest = copies[-1]
            made_at = iso(newest.made_ns)
            return {"path": str(newest.path), "made_at": made_at, "size_bytes": newest.size_bytes}
    return None


def _waiting(settings: Settings) -> dict[str, Any] | None:
    """The word of a daemon that waits for its root, and has let go of its lock meanwhile: where
    its registry is not below that root, its status file is still there."""
    said = status.read(home_of(settings) / status.NAME) or {}
    is_ours = said.get("root") == str(settings.models.root) and said.get("suspended")
    return said if is_ours and _is_watcherd(said.get("pid")) else None


def _is_watcherd(pid: object) -> bool:
    with suppress(OSError):
        return b"watcherd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _ask_registry(settings: Settings, reconciler: Reconciler) -> Outlook:
    """What it knows of models, of the trash, and of what is to come."""
    registry, root = reconciler.registry, reconciler.root
    trash = sum_trash(registry, root.root_id)
    free, total = measure_space(root.path)
    ahead = look_ahead(settings, reconciler, free_bytes=free, now=time.time_ns())
    return {
        "models": registry.states(),
        "trash": asdict(trash),
        "disk": {"free_bytes": free, "total_bytes": total},
        "forecast": ahead.as_json(),
    }


def _find_forgotten(reconciler: Reconciler) -> list[dict[str, Any]]:
    """What lies in the trash and no row tells of; nothing where this user may not list it."""
    registry, root = reconciler.registry, reconciler.root
    with open_root(Path(root.path), root.uuid) as root_fd, suppress(TrashError, OSError):
        found = forgotten(root_fd, known_places(registry, root.root_id))
        # What came there meanwhile has its row by now.
        known = known_places(registry, root.root_id) if found else ()
        return [one.as_json() for one in found if one.path not in known]
    return []


def _wait_until_true(reconciler: Reconciler, seconds: float) -> dict[str, Any]:
    """Look until all that changed before now is in the registry, or the time is up."""
    asked = time.time_ns()
    give_up = time.monotonic() + seconds
    while True:
        cycle = reconciler.cycle(Request(ROOT, Cause.REQUEST), dry_run=True)
        changes = [one for one in cycle.plan.changes if not one.is_aside]
        differing = [one for one in changes if _changed_at(one) <= asked]
        settling = [one for one in cycle.plan.settling if _seen_at(one) <= asked]
        unclear = differing or settling or cycle.unfinished
        if not unclear or time.monotonic() >= give_up:
            return {
                "differing": [{"verb": one.verb, "path": one.path} for one in differing],
                "settling": [*(one.path for one in cycle.plan.settling), *cycle.unfinished],
                "blind": cycle.blind,
                "skipped": cycle.skipped,
            }
        time.sleep(max(LOOK_AGAIN, min(cycle.seconds, 1.0)))


def _changed_at(change: Change) -> int:
    """The youngest ctime, in ns; 0 for what is gone, whose time nobody keeps."""
    parts = change.artifact.parts if change.artifact else ()
    return max((part.fact.ctime_ns for part in parts), default=0)


def _seen_at(one: Settling) -> int:
    return max((part.fact.ctime_ns for part in one.parts), default=0)

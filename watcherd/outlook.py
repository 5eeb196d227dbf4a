"""How things stand, for ``status``: what the daemon said last, and what a look at the disk says."""

import time
from typing import Any

from watcherd import lock, status
from watcherd.config import Settings
from watcherd.daemon import home_of
from watcherd.errors import RootSuspended
from watcherd.plan import Change, Settling
from watcherd.reconciler import Reconciler
from watcherd.root import open_root
from watcherd.scope import ROOT, Cause, Request
from watcherd.wiring import looking

LOOK_AGAIN = 0.1
"""Seconds between two looks while waiting, at the least."""


def look_at(settings: Settings, *, wait: float | None) -> dict[str, Any]:
    """Daemon, root, registry; with ``wait`` (seconds) also whether the registry equals the disk.

    Never writes anything. Without ``wait`` the disk is not looked at.
    """
    home = home_of(settings)
    said = status.read(home / status.NAME) or {}
    is_running = lock.is_held(home / status.LOCK)
    suspended = said.get("suspended") if is_running else None
    outlook: dict[str, Any] = {
        "daemon": {"running": is_running, **(said if is_running else {})},
        "root": {"path": str(settings.models.root), "suspended": suspended},
        "registry": settings.registry.url,
        "models": {},
        "settling": [],
        "differing": [],
        "blind": said.get("blind", {}) if is_running else {},
    }
    try:
        with open_root(settings.models.root, None):
            pass  # before the registry, which is usually below it
        with looking(settings) as reconciler:
            if wait is not None:
                outlook |= _wait_until_true(reconciler, wait)
            else:
                reconciler.check_root()
            outlook["models"] = reconciler.registry.states()
    except RootSuspended as error:
        outlook["root"]["suspended"] = error.message
    return outlook


def _wait_until_true(reconciler: Reconciler, seconds: float) -> dict[str, Any]:
    """Look until all that changed before now is in the registry, or the time is up."""
    asked = time.time_ns()
    give_up = time.monotonic() + seconds
    while True:
        cycle = reconciler.cycle(Request(ROOT, Cause.REQUEST), dry_run=True)
        differing = [one for one in cycle.plan.changes if _changed_at(one) <= asked]
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

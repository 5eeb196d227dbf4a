"""Asks the registry, the disk and the daemon what they know of one path. Never writes anything."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watcherd import drift
from watcherd.artifact import Snapshot
from watcherd.config import Settings, naming_of
from watcherd.daemon import ask
from watcherd.errors import RootSuspended
from watcherd.explain.evidence import Disk, Evidence, Found, Known, Sight
from watcherd.explain.fate import Pruning, fate_of
from watcherd.explain.judgement import judge
from watcherd.explain.look import look_around
from watcherd.plan import ON_DISK, Record, Work
from watcherd.pruner import Pruner
from watcherd.reconciler import Reconciler
from watcherd.registry.whereabouts import count_below, id_in_trash
from watcherd.root import HOUSE, open_root
from watcherd.scope import is_text, is_within
from watcherd.wiring import pruner_of

Said = Mapping[str, Any] | None
"""What the daemon says of itself; None where none runs."""


def inquire(
    settings: Settings, path: str, reconciler: Reconciler | None, model_id: int | None
) -> Evidence:
    """Find out what is at a path below the root, and what the registry says of it.

    ``reconciler`` is None where no registry knows the root; ``model_id`` is the row that is meant,
    if there is one. Raises RegistryError, and RootSuspended where that leaves nothing to say.
    """
    said = ask(settings)
    known = _ask_registry(settings, path, reconciler, model_id, said) if reconciler else None
    try:
        disk = _look(settings, path, reconciler, known, said)
    except RootSuspended as error:
        if known is None or known.model is None:
            raise
        disk = Disk(Sight(Found.HIDDEN, "", error.message))
    work = _compare(settings, disk.snapshot, reconciler)
    return Evidence(path, naming_of(settings), disk, known, work)


def inquire_outside(settings: Settings, path: Path) -> Evidence:
    """The same of a path that lies outside the root: only whether it is there."""
    found = Found.OTHER if os.path.lexists(path) else Found.ABSENT
    return Evidence(None, naming_of(settings), Disk(Sight(found, str(path))))


def _ask_registry(
    settings: Settings, path: str, reconciler: Reconciler, model_id: int | None, said: Said
) -> Known:
    registry, root_id = reconciler.registry, reconciler.root.root_id
    if model_id is None and is_within(path, HOUSE) and is_text(path):
        model_id = id_in_trash(registry, root_id, path)
    if model_id is None:
        return Known(counts=count_below(registry, root_id, path) if is_text(path) else {})
    model, history = registry.find(model_id), registry.history(model_id=model_id)
    assert model is not None  # whoever named it has found it
    pruner = pruner_of(settings, reconciler)
    is_here = model["state"] in ON_DISK
    judged = judge(pruner, model_id, model["path"], now=time.time_ns()) if is_here else None
    pruning = _pruning(settings, pruner, said)
    return Known(model, history, fate_of(model, history, judged, pruning))


def _pruning(settings: Settings, pruner: Pruner, said: Said) -> Pruning:
    """Whether and when the daemon carries out what the rules say."""
    root, host = pruner.reconciler.root, pruner.host
    idle = {
        "retention.dry_run is true: nothing moves": pruner.policy.dry_run,
        "this root has no marker, and is never pruned": host is None,
        f"only {host} prunes this root": host not in (None, socket.gethostname()),
        "this registry met a root in use: watcherd prune --yes, once": not root.prune_confirmed,
        "schedule.prune is off: watcherd prune does it": settings.schedule.prune is None,
        "no daemon runs: watcherd prune does it": said is None,
    }
    schedule = (said or {}).get("schedule") or {}
    return Pruning(schedule.get("prune"), tuple(why for why, is_so in idle.items() if is_so))


def _look(
    settings: Settings,
    path: str,
    reconciler: Reconciler | None,
    known: Known | None,
    said: Said,
) -> Disk:
    """Raises RootSuspended."""
    told = (said or {}).get("blind") or {}
    blind = {place: f"{why} (says the daemon)" for place, why in told.items()}
    if reconciler is not None:
        blind |= reconciler.lost_mounts()
    uuid = reconciler.root.uuid if reconciler else None
    with open_root(settings.models.root, uuid) as root_fd:
        return look_around(
            root_fd, naming_of(settings), path, known.place if known else None, blind
        )


def _compare(settings: Settings, snapshot: Snapshot | None, reconciler: Reconciler | None) -> Work:
    if snapshot is None:
        return Work()
    records: list[Record] = []
    if reconciler is not None:
        records = reconciler.registry.load(reconciler.root.root_id, snapshot.scope)
    settle = int(settings.watch.settle * 1e9)
    return drift.compare(snapshot, records, now=snapshot.at, settle=settle)

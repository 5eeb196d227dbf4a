"""Settings → the parts of the program, put together the same way for the daemon and a command."""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watcherd import config
from watcherd.config import Settings, naming_of
from watcherd.errors import NoRegistry, RootSuspended
from watcherd.pruner import Policy, Pruner
from watcherd.reconciler import Reconciler
from watcherd.registry import Mode, Registry, Root, path_of
from watcherd.retention import Best, Rule
from watcherd.root import HOUSE, make_house, open_root, read_marker
from watcherd.upkeep import Care, Upkeep
from watcherd.verify import Opener

DAEMON = "daemon"
"""The daemon's name as an actor in the history."""


def person() -> str:
    """The actor of a command: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, in a container
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def open_registry(settings: Settings, mode: Mode, *, known_uuid: str | None = None) -> Registry:
    """The registry of these settings. Raises RegistryError; RootSuspended where the root that is
    to hold a new registry is not there: a folder is never made in place of an unmounted disk."""
    path = path_of(settings.registry.url)
    home = settings.models.root / HOUSE
    if mode is Mode.CREATE and path is not None and path.parent == home:
        with open_root(settings.models.root, known_uuid) as root_fd:
            _make_house(root_fd, settings.models.root)
    return Registry(settings.registry.url, mode)


def _make_house(root_fd: int, root: Path) -> None:
    try:
        make_house(root_fd)
    except OSError as error:
        raise RootSuspended(
            f"{root / HOUSE} cannot be made: {error.strerror}",
            hint="let this user write there, or give a registry.url elsewhere",
        ) from None


@contextmanager
def reconciling(
    settings: Settings,
    actor: str,
    *,
    mode: Mode = Mode.CREATE,
    known_uuid: str | None = None,
) -> Iterator[Reconciler]:
    """A reconciler upon an open registry, closed in the end.

    ``known_uuid`` is the marker that the root bore when we last worked upon it.
    """
    with _opened(settings, mode, known_uuid) as registry:
        root = know_root(registry, settings.models.root)
        with _reconciler(settings, registry, root, actor) as reconciler:
            yield reconciler


def _opened(settings: Settings, mode: Mode, known_uuid: str | None) -> Registry:
    """Where the registry is missing because its root is, the root is what is told."""
    try:
        return open_registry(settings, mode, known_uuid=known_uuid)
    except NoRegistry:
        with open_root(settings.models.root, known_uuid):
            raise


@contextmanager
def looking(settings: Settings) -> Iterator[Reconciler]:
    """A reconciler upon a registry that is only read: for cycles that are dry runs."""
    with open_registry(settings, Mode.READ) as registry:
        root = registry.root(str(settings.models.root))
        if root is None:
            raise NoRegistry(
                f"the registry {settings.registry.url} does not know {settings.models.root}",
                hint="watcherd reconcile or watcherd run adds it",
            )
        with _reconciler(settings, registry, root, person()) as reconciler:
            yield reconciler


@contextmanager
def _reconciler(
    settings: Settings, registry: Registry, root: Root, actor: str
) -> Iterator[Reconciler]:
    reconciler = Reconciler(
        registry=registry,
        root=root,
        naming=naming_of(settings),
        settle=settings.watch.settle,
        actor=actor,
    )
    try:
        yield reconciler
    finally:
        reconciler.close()


def know_root(registry: Registry, path: Path) -> Root:
    """The registry's row of this root; a root that moved as a whole is known by its marker."""
    try:
        with open_root(path, None) as root_fd:
            marker = read_marker(root_fd)
    except RootSuspended:
        marker = None
    known = registry.root_of_marker(marker.uuid) if marker else None
    if known is None or marker is None:
        return registry.add_root(str(path))
    if known.path != str(path):
        _refuse_copy(known, path)
        return registry.move_root(known, str(path))
    return known


def _refuse_copy(known: Root, path: Path) -> None:
    """A copied root bears the original's marker; one registry cannot follow both as one."""
    try:
        with open_root(Path(known.path), known.uuid):
            pass
    except RootSuspended:
        return  # it is not there any more: it moved as a whole
    raise RootSuspended(
        f"{path} bears the marker of {known.path}, which is still there: is it a copy?",
        hint=f"remove {path}/{HOUSE}/root.json to make it a root of its own",
    )


def pruner_of(settings: Settings, reconciler: Reconciler) -> Pruner:
    """The pruner that these settings ask for."""
    retention = settings.retention
    policy = Policy(
        rules=rules_of(settings),
        dry_run=retention.dry_run,
        min_age=retention.min_age,
        trash_for=retention.trash_for,
        max_prune_count=retention.max_prune_count,
        max_prune_fraction=retention.max_prune_fraction,
        min_free_space=retention.min_free_space,
    )
    return Pruner(reconciler, policy)


def upkeep_of(settings: Settings, reconciler: Reconciler) -> Upkeep:
    """The care of the registry that these settings ask for."""
    asked = settings.registry
    care = Care(
        backup=asked.backup,
        forget_missing=asked.forget_missing,
        history_for=asked.history_for,
        min_free_space=settings.retention.min_free_space,
    )
    return Upkeep(reconciler.registry, care, reconciler.actor)


def opener_of(settings: Settings) -> Opener:
    """TensorFlow, as these settings name it; no process is started yet."""
    return Opener(settings.verify.python, settings.verify.custom_objects)


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """The retention rules that these settings ask for."""
    return tuple(map(_rule_of, settings.retention.rule))


def _rule_of(asked: config.Rule) -> Rule:
    best = asked.keep_best
    return Rule(
        match=asked.match.globs(),
        per=asked.per,
        max_to_keep=asked.max_to_keep,
        keep_checkpoint_every_n_hours=asked.keep_checkpoint_every_n_hours,
        keep_every_n_steps=asked.keep_every_n_steps,
        keep_within=asked.keep_within,
        keep_daily=asked.keep_daily,
        keep_weekly=asked.keep_weekly,
        keep_monthly=asked.keep_monthly,
        keep_tags=asked.keep_tags,
        keep_best=Best(best.metric, best.mode, best.count) if best is not None else None,
    )

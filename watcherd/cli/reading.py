"""What commands that only read share: the registry, opened as fast as possible."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watcherd.config import Settings
    from watcherd.registry import Registry


@contextmanager
def in_haste() -> Iterator[None]:
    """Without garbage collection: in a process that runs for a third of a second it would free next
    to nothing, and take a quarter of the time, most of it when the process ends."""
    gc.disable()
    try:
        yield
    finally:
        take_time()


def take_time() -> None:
    """Collect garbage from now on. The objects that exist by now were imported and stay, so they
    are left out: else the first new object would set off the collection that was to be saved."""
    gc.freeze()
    gc.enable()


@contextmanager
def reading(settings: "Settings") -> Iterator["Registry"]:
    """The registry of these settings, only to be read: without what writes it, nothing that knows
    the disk is imported. Raises RegistryError."""
    from watcherd.registry import Mode, Registry

    with Registry(settings.registry.url, Mode.READ) as registry:
        yield registry

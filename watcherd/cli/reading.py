"""What the commands share that only read: the registry, opened in as little time as it takes."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watcherd.config import Settings
    from watcherd.registry import Registry


@contextmanager
def in_haste() -> Iterator[None]:
    """Without collecting garbage, of which a process of a third of a second makes none worth the
    search: a quarter of its time would go into that, most of it when the process ends."""
    gc.disable()
    try:
        yield
    finally:
        take_time()


def take_time() -> None:
    """Collect garbage from now on. What there is by now was imported, and stays: it is left out, or
    the first thing to be made would set off the very search that was not worth it."""
    gc.freeze()
    gc.enable()


@contextmanager
def reading(settings: "Settings") -> Iterator["Registry"]:
    """The registry of these settings, only to be read: without what writes it, nothing that knows
    the disk is imported. Raises RegistryError."""
    from watcherd.registry import Mode, Registry

    with Registry(settings.registry.url, Mode.READ) as registry:
        yield registry

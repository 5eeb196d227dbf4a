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
    """Without collecting garbage, of which a process of half a second makes none worth the search:
    a tenth of its time would go into that, most of it while modules are imported."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def reading(settings: "Settings") -> Iterator["Registry"]:
    """The registry of these settings, only to be read: without what writes it, nothing that knows
    the disk is imported. Raises RegistryError."""
    from watcherd.registry import Mode, Registry

    with Registry(settings.registry.url, Mode.READ) as registry:
        yield registry

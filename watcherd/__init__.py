"""watcherd keeps a registry of TensorFlow and Keras models true to the disk."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watcherd.door import Registry

__all__ = ["Registry", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The Python door, imported when it is asked for: the daemon and its children never do."""
    if name == "Registry":
        from watcherd.door import Registry

        return Registry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

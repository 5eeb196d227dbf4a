"""What a reading child runs. Importing this costs nothing; HDF5 is imported when one is read."""

from watcherd.artifact import Artifact
from watcherd.plan import Reading

Job = tuple[str, Artifact]
"""The root's path, and what to read below it."""


def prepare() -> None:
    """Import what reading HDF5 needs, before the first file waits for it."""
    import watcherd.readers.hdf5  # noqa: F401  for its import's sake


def read_batch(jobs: list[Job]) -> list[Reading]:
    """Read each artifact, in order."""
    from watcherd.readers import read

    return [read(root, artifact) for root, artifact in jobs]

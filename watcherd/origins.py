"""Which row something found continues: a model that moved, came back, or swapped its path.

Pure: the evidence is what was seen and what the rows remember, nothing is looked up.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from watcherd.artifact import Artifact, Part
from watcherd.plan import Reading, Record, State, Work

T = TypeVar("T")


class _Identity(NamedTuple):
    """What can tell that two sightings are of one artifact."""

    path: str
    fingerprint: str | None
    inode: int | None
    device: int | None


_Key = Callable[[_Identity], Hashable]


def _by_place_and_content(one: _Identity) -> Hashable:
    return one.fingerprint and (one.path, one.fingerprint)


def _by_inode(one: _Identity) -> Hashable:
    """Content too: ext4 hands a freed inode to the next file at once."""
    return one.fingerprint and (one.inode, one.fingerprint)


def _by_content(one: _Identity) -> Hashable:
    return one.fingerprint


def _by_place(one: _Identity) -> Hashable:
    return one.path


def find_origins(
    work: Work, readings: Mapping[str, Reading], kin: Sequence[Record]
) -> dict[str, Record]:
    """Path -> the row that an artifact continues, by the surest evidence first.

    A pair counts only where its key is unique on both sides: of two equal copies none is "the"
    moved one. Content alone is evidence only across file systems, where a move is a copy. Another
    file at a known path (swapped, renamed over, renamed away and made anew) is found by inode.
    """
    swapped = [(one, record) for one, record in work.changed if _head_differs(one, record)]
    missing = [record for record in kin if record.state is State.MISSING]
    new = {artifact.path for artifact in work.new}
    seen = [
        _identity(artifact.path, readings[artifact.path].fingerprint, artifact.head)
        for artifact in (*work.new, *(artifact for artifact, _ in swapped))
    ]
    # A renamed folder may have lost a hundred thousand, of which a few are found at a time.
    contents = {one.fingerprint for one in seen}
    gone = [record for record in work.gone if record.fingerprint in contents]
    displaced = [*gone, *(record for _, record in swapped)]
    rules: tuple[tuple[_Key, Sequence[Record]], ...] = (
        (_by_inode, displaced),
        (_by_place_and_content, kin),
        (_by_inode, kin),
        (_by_content, gone),
        (_by_content, missing),
        (_by_place, missing),
    )
    origins: dict[str, Record] = {}
    for key, lost in rules:
        taken = {record.model_id for record in origins.values()}
        free = [record for record in lost if record.model_id not in taken]
        open_ = [
            one for one in seen if one.path not in origins and (one.path in new or key is _by_inode)
        ]
        origins.update(_pair(open_, free, key))
    return origins


def _head_differs(artifact: Artifact, record: Record) -> bool:
    """Whether another file is the head now."""
    if artifact.head is None or record.head is None:
        return False
    return artifact.head.fact.inode != record.head.fact.inode


def _pair(
    seen: Iterable[_Identity], lost: Iterable[Record], key: _Key
) -> Iterator[tuple[str, Record]]:
    """Path and row of each pair whose key no other on either side has."""
    arrivals = _unique((key(one), one) for one in seen)
    losses = _unique(
        (key(_identity(record.path, record.fingerprint, record.head)), record) for record in lost
    )
    for shared in arrivals.keys() & losses.keys():
        one, record = arrivals[shared], losses[shared]
        same_device = record.head is not None and record.head.fact.device == one.device
        if key is not _by_content or not same_device:
            yield one.path, record


def _unique(pairs: Iterable[tuple[Hashable, T]]) -> dict[Hashable, T]:
    pairs = [(key, value) for key, value in pairs if key]
    count = Counter(key for key, _ in pairs)
    return {key: value for key, value in pairs if count[key] == 1}


def _identity(path: str, fingerprint: str | None, head: Part | None) -> _Identity:
    fact = head.fact if head else None
    return _Identity(path, fingerprint, fact and fact.inode, fact and fact.device)

"""What the disk says of a model and its row does not yet. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from watcherd.artifact import FileFact, Part
from watcherd.explain.evidence import Evidence
from watcherd.plan import Settling
from watcherd.registry import iso


def differences(seen: Evidence) -> tuple[str, ...]:
    """Sentences, none where disk and registry agree, or nobody can say."""
    if seen.model is None or seen.snapshot is None or seen.blind_spot is not None:
        return ()
    path = seen.model["path"]
    if not seen.has_row:
        is_back = path in seen.snapshot.artifacts
        return (f"there is something at {path} again",) if is_back else ()
    if settling := seen.settling_at(path):
        return (until_settled(settling),)
    if any(record.path == path for record in seen.work.gone):
        return ("it is gone: the next look notes it",)
    changed = (pair for pair in seen.work.changed if pair[1].path == path)
    return tuple(
        sentence
        for artifact, record in changed
        for sentence in _changed(_facts(artifact.parts), _facts(record.parts))
    )


def until_settled(one: Settling) -> str:
    """What settles, since when, and when it is judged."""
    newest = max((max(part.fact.mtime_ns, part.fact.ctime_ns) for part in one.parts), default=None)
    what = "it went a moment ago" if newest is None else f"it changed at {iso(newest)}"
    return f"{what}, and is judged at {iso(one.due)} if it is quiet until then"


def _facts(parts: Sequence[Part]) -> dict[str, FileFact]:
    return {part.path: part.fact for part in parts}


def _changed(now: Mapping[str, FileFact], before: Mapping[str, FileFact]) -> Iterator[str]:
    """File by file; a device number alone is no difference."""
    yield from (f"{path} is new" for path in sorted(now.keys() - before.keys()))
    yield from (f"{path} is gone" for path in sorted(before.keys() - now.keys()))
    for path in sorted(now.keys() & before.keys()):
        if now[path][:2] != before[path][:2]:
            yield f"{path} has {_said(now[path])}; the registry knows {_said(before[path])}"
        elif now[path][:-1] != before[path][:-1]:
            yield f"{path} was touched or replaced; its size and time are the same"


def _said(fact: FileFact) -> str:
    return f"{fact.size:,} bytes of {iso(fact.mtime_ns)}"

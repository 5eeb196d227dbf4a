"""What no setting can turn off: each guard holds a model whatever its rule says, and says why."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from watcherd.plan import Candidate, Format, State
from watcherd.scope import lineage

REMOVABLE = frozenset(
    {
        Format.H5,
        Format.WEIGHTS_H5,
        Format.HDF5,
        Format.KERAS,
        Format.CHECKPOINT,
        Format.CHECKPOINT_V1,
        Format.SAVED_MODEL,
    }
)
"""Formats whose way to the trash and back has been proven."""

Guard = Callable[[Candidate], str | None]
"""Why a model must not go; None where the guard has nothing to say."""


def order(one: Candidate) -> tuple[int, int, str]:
    """By time, then step, then path: a restarted training counts from step 0 again."""
    return (one.modified_ns, -1 if one.step is None else one.step, one.path)


def is_counted(one: Candidate, now: int) -> bool:
    """Whether it may stand among the newest: what is not complete, or has no sure age, is held
    without taking the place of another."""
    return one.state is State.PRESENT and not _is_ahead(one, now)


def guards_of(now: int, min_age: int, held: Mapping[str, str]) -> tuple[Guard, ...]:
    """The guards that look at one model only. Times are in ns."""
    return (
        _is_named_by_state_file,
        _is_young(now, min_age),
        _is_from_the_future(now),
        _is_not_complete,
        *([_is_held(held)] if held else []),
        _is_not_removable,
        _is_pinned,
        _is_aliased,
        _is_in_an_ensemble,
    )


def guards_within(family: Iterable[Candidate]) -> tuple[Guard, ...]:
    """The guards that look at a whole family: those of it that count."""
    members = sorted(family, key=order)
    return (_is_newest(members), _has_highest_step(members))


def _is_newest(members: Sequence[Candidate]) -> Guard:
    last = members[-1] if members else None
    return lambda one: "the newest complete of its family" if one is last else None


def _has_highest_step(members: Sequence[Candidate]) -> Guard:
    """The newest by step may be another than by time, where a training was restarted."""
    steps = [(one.step, at) for at, one in enumerate(members) if one.step is not None]
    highest = members[max(steps)[1]] if steps else None
    return lambda one: "the highest step of its family" if one is highest else None


def _is_named_by_state_file(one: Candidate) -> str | None:
    return "named by a state file: a trainer resumes from it" if one.resume else None


def _is_young(now: int, min_age: int) -> Guard:
    """Counted from the latest of: mtime, first seen, moved here."""
    since = now - min_age
    return lambda one: (
        "younger than min_age" if one.modified_ns > since or one.seen_ns > since else None
    )


def _is_from_the_future(now: int) -> Guard:
    return lambda one: "dated in the future" if _is_ahead(one, now) else None


def _is_ahead(one: Candidate, now: int) -> bool:
    return one.modified_ns > now or one.seen_ns > now


def _is_not_complete(one: Candidate) -> str | None:
    return None if one.state is State.PRESENT else f"it is {one.state}"


def _is_held(held: Mapping[str, str]) -> Guard:
    """By what was found outside the registry about it, or about a folder above it."""

    def guard(one: Candidate) -> str | None:
        return next((held[place] for place in lineage(one.path) if place in held), None)

    return guard


def _is_not_removable(one: Candidate) -> str | None:
    """Formats whose way to the trash and back has not been proven yet."""
    return None if one.format in REMOVABLE else f"this version removes no {one.format}"


def _is_pinned(one: Candidate) -> str | None:
    return "pinned" if one.pinned else None


def _is_aliased(one: Candidate) -> str | None:
    return "has an alias" if one.aliased else None


def _is_in_an_ensemble(one: Candidate) -> str | None:
    return "in an ensemble, as a member or its source" if one.ensemble else None

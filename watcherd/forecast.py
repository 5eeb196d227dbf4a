"""When the disk is full at the present rate, and whether pruning holds it back. Pure.

A forecast is a straight line through what came and went lately; the figures it is made of are part
of it, so that a person can judge them.
"""

from dataclasses import dataclass

DAY = 86_400 * 1_000_000_000
WINDOW = 7 * DAY
"""The time that is looked back upon, in ns."""
LEAST = DAY
"""What is known for less tells no rate: training goes in days."""
FARTHEST = 3_650 * DAY
"""Ten years: beyond it "never" is the better word."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What came and what went. Times in ns since the epoch."""

    now: int
    known_since: int | None
    """When the registry began to look; None where it has seen nothing."""
    free_bytes: int
    """Of the disk."""
    new_bytes: int
    """Of the models that came in the window and are still there."""
    gone_bytes: int
    """Of the models from before that went in the window."""

    @property
    def since(self) -> int:
        """Where the window begins: a week ago, or when the registry was made."""
        return window_start(self.now, self.known_since)


@dataclass(frozen=True, slots=True)
class Ruled:
    """What the rules make of what is on disk, in bytes."""

    kept: int
    kept_before: int
    """Of what was there when the window began, as they would have judged it then."""
    removable: int
    """What they would remove now."""
    trash: int
    """What the trash gives back in time."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the disk is full; None is never, or unknown: ``why`` says which."""

    per_day: int | None
    """Bytes a day by which the models grow."""
    full_at: int | None
    """In ns since the epoch, at this rate."""
    why: str = ""


def window_start(now: int, known_since: int | None) -> int:
    """A week ago, or when the registry was made, in ns since the epoch."""
    return max(now - WINDOW, now if known_since is None else known_since)


def forecast(figures: Figures) -> Forecast:
    """When the disk is full at the present rate."""
    span = figures.now - figures.since
    if span < LEAST:
        hours = span * 24 // DAY
        return Forecast(None, None, f"the models have been followed for {hours} h, not yet a day")
    return _line(figures, figures.new_bytes - figures.gone_bytes, figures.free_bytes)


def forecast_ruled(figures: Figures, ruled: Ruled) -> Forecast:
    """When it is full if the rules are applied, and had been all the time.

    What grows then is what they keep. What went in the window, by the rules or by itself, made
    room for what came.
    """
    grown = ruled.kept - ruled.kept_before - figures.gone_bytes
    return _line(figures, grown, figures.free_bytes + ruled.trash + ruled.removable)


def _line(figures: Figures, grown: int, free_bytes: int) -> Forecast:
    """Through what grew in the window, to where the free space ends."""
    per_day = grown * DAY // (figures.now - figures.since)
    if per_day <= 0:
        return Forecast(per_day, None, "what came is not more than what went")
    full_at = figures.now + free_bytes * DAY // per_day
    if full_at - figures.now > FARTHEST:
        return Forecast(per_day, None, "not within ten years")
    return Forecast(per_day, full_at)

"""A verdict for every candidate, in columns: a million take 17 MB, as objects 470."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from watcherd.plan import Candidate, Verdict

NO_RULE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts(Sequence[Verdict]):
    """Verdicts upon candidates, or some of them; each is made when it is looked at."""

    candidates: Sequence[Candidate]
    keep: bytearray
    """Of each candidate: 1 to keep it, 0 to remove it."""
    reasons: Sequence[tuple[str, ...]]
    """Of each candidate."""
    rules: "array[int]"
    """Of each candidate: the number of its rule, or NO_RULE."""
    places: Sequence[int]
    """The candidates that these verdicts are upon."""

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, at: int) -> Verdict: ...
    @overload
    def __getitem__(self, at: slice) -> "Verdicts": ...
    def __getitem__(self, at: int | slice) -> "Verdict | Verdicts":
        if isinstance(at, slice):
            return self._of(self.places[at])
        return self._verdict(self.places[at])

    def __iter__(self) -> Iterator[Verdict]:
        return map(self._verdict, self.places)

    @property
    def kept(self) -> "Verdicts":
        """Those that say keep."""
        return self._of(array("I", (at for at in self.places if self.keep[at])))

    @property
    def removing(self) -> "Verdicts":
        """Those that say remove."""
        return self._of(array("I", (at for at in self.places if not self.keep[at])))

    def _of(self, places: Sequence[int]) -> "Verdicts":
        return Verdicts(self.candidates, self.keep, self.reasons, self.rules, places)

    def _verdict(self, at: int) -> Verdict:
        rule = self.rules[at]
        return Verdict(
            self.candidates[at],
            bool(self.keep[at]),
            self.reasons[at],
            None if rule == NO_RULE else rule,
        )

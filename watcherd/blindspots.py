"""What below the root nothing can be said about: told when it is found, and asked again in time."""

import os
from dataclasses import dataclass, field

from watcherd import logs
from watcherd.cycle import Cycle
from watcherd.scope import Scope, folders, parent_of, tree


@dataclass
class BlindSpots:
    """Of all cycles so far; the worker's."""

    root: str
    places: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be looked at."""

    def note(self, cycle: Cycle) -> None:
        """Take in what a cycle could see and could not; of what lies elsewhere it tells nothing."""
        before = self.places
        left = {path: why for path, why in before.items() if not self._was_seen(path, cycle.scope)}
        self.places = left | cycle.blind
        found = self.places.keys() - before.keys()
        if found:
            path = min(found)
            reason = self.places[path]
            logs.get().warning(logs.BLIND_FOUND, path=path, reason=reason, blind=len(self.places))
        elif before and not self.places:
            logs.get().info(logs.BLIND_CLEARED)

    def readable(self) -> Scope:
        """Where to look again for those that may be read by now. No event tells of a permission."""
        places = [path for path in self.places if self._may_be_read(path)]
        return tree(*places) | folders(map(parent_of, places))

    def _was_seen(self, path: str, scope: Scope) -> bool:
        """A folder was by a look into it. A look at what holds it tells of a file, and of what
        went; of a folder that is still shut it does not."""
        if scope.covers(path):
            return True
        return scope.covers(parent_of(path)) and not self._is_shut(path)

    def _is_shut(self, path: str) -> bool:
        """Nobody can say of what lies below a folder that may not be entered that it is gone."""
        try:
            os.lstat(self._place(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return not self._is_open(path)

    def _may_be_read(self, path: str) -> bool:
        """A symlink that hides models may be, and hides them still."""
        return self._is_open(path) and not os.path.islink(self._place(path))

    def _is_open(self, path: str) -> bool:
        """A folder must be entered, too, to say anything about what is in it."""
        place = self._place(path)
        return os.access(place, os.R_OK | os.X_OK if os.path.isdir(place) else os.R_OK)

    def _place(self, path: str) -> str:
        return os.path.join(self.root, path)

"""What below the root cannot be read: reported when it is found, and tried again in time."""

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
        """Take in what a cycle could read and what not; it says nothing of other places."""
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
        """Where to scan again because it can be read by now. Nobody is told of permissions below a
        folder that was shut."""
        places = [path for path in self.places if self._may_be_read(path)]
        return tree(*places) | folders(map(parent_of, places))

    def _was_seen(self, path: str, scope: Scope) -> bool:
        """Whether a scan was able to tell about it: of its folder, or of the folder that holds it
        unless it is still shut."""
        if scope.covers(path):
            return True
        return scope.covers(parent_of(path)) and not self._is_shut(path)

    def _is_shut(self, path: str) -> bool:
        """Also what lies below a folder that may not be entered: nobody can say that it is gone."""
        try:
            os.lstat(self._place(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return not self._is_open(path)

    def _may_be_read(self, path: str) -> bool:
        """Not a symlink that hides models: it can be read, and still hides them."""
        return self._is_open(path) and not os.path.islink(self._place(path))

    def _is_open(self, path: str) -> bool:
        """A folder must be entered, too, to say anything about what is in it."""
        place = self._place(path)
        return os.access(place, os.R_OK | os.X_OK if os.path.isdir(place) else os.R_OK)

    def _place(self, path: str) -> str:
        return os.path.join(self.root, path)

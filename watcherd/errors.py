"""The errors a person may meet: what happened, to what, what to do next, and the exit status."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of every command (docs/commands.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTLY = 3
    """Blind spots, or some items failed."""
    DIFFERENT = 4
    """``reconcile --dry-run`` found differences."""
    NO_ROOT = 10
    """The models root is missing or suspended."""
    REFUSED = 11
    """A guard, a mass prune, or another daemon."""
    NO_MODEL = 12
    SETTINGS = 78
    """EX_CONFIG of sysexits.h."""
    INTERRUPTED = 130


class WatcherdError(Exception):
    """An error whose message is meant for a person."""

    status = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        """What happened, and to which path."""
        self.hint = hint
        """What to do next."""


class UsageError(WatcherdError):
    """The words of a command line make no sense together."""

    status = Exit.USAGE


class RegistryError(WatcherdError):
    """The registry cannot be used: missing, locked, read-only, corrupt, or of another version."""


class NoRegistry(RegistryError):
    """There is no registry yet, or it does not know this root."""


class RegistryBusy(RegistryError):
    """Another process holds the registry's write lock; trying again later may help."""


class RegistryFull(RegistryError):
    """There is no room left to write it."""


class RootSuspended(WatcherdError):
    """The models root is gone, unreadable, or not the one that the registry knows."""

    status = Exit.NO_ROOT


class Refused(WatcherdError):
    """A guard said no."""

    status = Exit.REFUSED


class NoSuchModel(WatcherdError):
    """No row fits what the person named."""

    status = Exit.NO_MODEL


class TrashError(WatcherdError):
    """An artifact could not be moved to the trash or back; it is whole where it was."""


class WatchError(WatcherdError):
    """The models root cannot be watched at all."""


class ChildError(WatcherdError):
    """No process that reads models can be started."""


class VerifyError(WatcherdError):
    """No TensorFlow can be asked: no interpreter, or nothing in it that can be imported."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in the settings."""

    key: str
    """Dotted, as in ``retention.rule[0].max_to_keep``."""
    value: object
    """As written, with booleans as TOML has them; None where nothing is."""
    expected: str

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.key}: expected {self.expected}"
        value = str(self.value).lower() if isinstance(self.value, bool) else repr(self.value)
        return f"{self.key} = {value}: expected {self.expected}"


class SettingsError(WatcherdError):
    """Settings that cannot be used; lists every fault at once."""

    status = Exit.SETTINGS

    def __init__(self, faults: Sequence[Fault], source: str) -> None:
        self.faults = tuple(faults)
        self.source = source
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = [f"{source}: {count} in the settings", *(f"  {fault}" for fault in self.faults)]
        super().__init__("\n".join(lines), hint="correct them, then run watcherd config check")


class NoSettings(SettingsError):
    """Neither a settings file nor a models root was named."""

    def __init__(self, usual: str) -> None:
        super().__init__((), "defaults")
        self.message = "no models root is named"
        self.hint = f"give --root DIR or --config FILE, or set $WATCHERD_CONFIG, or write {usual}"
        self.args = (self.message,)


def in_a_line(error: WatcherdError) -> str:
    """What happened and what to do next, where several errors are told one below the other."""
    return f"{error.message} → {error.hint}" if error.hint else error.message


def visible(text: object) -> str:
    """Text with control characters escaped, and what is not UTF-8, so that no name can move the
    cursor."""
    if (said := str(text)).isprintable():
        return said
    said = said.encode("utf-8", "backslashreplace").decode()
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in said
    )

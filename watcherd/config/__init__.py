"""Settings: ``load`` them, and build from them what the pure rooms need."""

from watcherd.config.document import SYSTEM_FILE
from watcherd.config.keys import Key, keys
from watcherd.config.load import load
from watcherd.config.rules import Best, Match, Rule
from watcherd.config.settings import Origin, Settings, Written, naming_of
from watcherd.config.values import Cron, Every, FreeSpace, Timing
from watcherd.errors import Fault, SettingsError

__all__ = [
    "SYSTEM_FILE",
    "Best",
    "Cron",
    "Every",
    "Fault",
    "FreeSpace",
    "Key",
    "Match",
    "Origin",
    "Rule",
    "Settings",
    "SettingsError",
    "Timing",
    "Written",
    "keys",
    "load",
    "naming_of",
]

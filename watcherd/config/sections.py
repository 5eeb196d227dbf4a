"""The settings' sections (docs/settings.md). Defaults stand here as a person would write them."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from watcherd.config import kinds
from watcherd.config.kinds import expecting, fault
from watcherd.config.rules import Rule
from watcherd.config.section import Section, written

IN_ROOT = "sqlite:///ROOT/"
"""How the URL of a registry below the models root begins."""

_URL = re.compile(r"[a-z][a-z0-9_+]*://(?!/:memory:).+", re.DOTALL)
_RELATIVE_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|file:|ROOT/)([^?]+)(.*)", re.DOTALL)


def _folder(text: object, info: ValidationInfo) -> Path:
    if not isinstance(text, str) or not text:
        raise ValueError
    return _resolved(text, "models.root", info)


def _database_url(url: str, info: ValidationInfo) -> str:
    """A URL; the path of an SQLite file made absolute, the same for every working folder."""
    if not _URL.fullmatch(url):
        raise ValueError
    if not (found := _RELATIVE_SQLITE.fullmatch(url)):
        return url
    scheme, path, query = found.groups()
    return f"{scheme}{_resolved(path, 'registry.url', info)}{query}"


def _resolved(path: str, key: str, info: ValidationInfo) -> Path:
    """The real path, which need not exist; it counts from what the context has for its key."""
    try:
        return Path((info.context or {}).get(key, ""), Path(path).expanduser()).resolve()
    except (OSError, RuntimeError):  # ~ of nobody, symlinks in a circle, a working folder gone
        raise ValueError from None


class Models(Section):
    """Which files are models, and what their paths and names say."""

    root: Annotated[
        Path,
        BeforeValidator(_folder),
        expecting('the path of a folder in quotes, such as "/srv/models"'),
    ] = Field(description='a folder: write root = "/srv/models" below [models], or give --root DIR')
    layout: kinds.Layouts = written("{interval}/{ticker}/{type}")
    types: kinds.Words = written([])
    ensembles: kinds.Words = written(["ensemble_*", "ensembly_*"])
    names: kinds.Templates = written([])
    state_files: kinds.FileNames = written(["checkpoint"])
    ignore: kinds.Words = written([])


class Registry(Section):
    """Where the registry is, and how long it remembers."""

    url: Annotated[
        str,
        AfterValidator(_database_url),
        expecting(
            "the URL of a database that outlives the program, such as "
            "sqlite:////var/lib/watcherd/registry.db"
        ),
    ] = written("sqlite:///ROOT/.watcherd/registry.db")
    forget_missing: kinds.PeriodOrNever = written("never")
    history_for: kinds.PeriodOrForever = written("forever")
    backup: kinds.PeriodOrOff = written("1d")


class Watch(Section):
    """How changes are noticed."""

    settle: kinds.Period = written("1s")
    poll: kinds.Period = written("30s")
    use: Annotated[Literal["auto", "events", "poll"], expecting('"auto", "events" or "poll"')] = (
        "auto"
    )


class Schedule(Section):
    """When the timer wakes the daemon."""

    reconcile: kinds.Timetable = written("1h")
    prune: kinds.Timetable = written("15m")


def _rules(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(value)
    raise fault("a list of tables, each below [[retention.rule]] in double brackets")


class Retention(Section):
    """What is pruned, and what a run of it may do at most."""

    dry_run: kinds.Switch = False
    trash_for: kinds.Duration = written("3d")
    min_free_space: kinds.Free = written("20GB")
    min_age: kinds.Duration = written("5m")
    max_prune_count: kinds.CountOrZero = 100
    max_prune_fraction: kinds.Share = 0.5
    rule: Annotated[tuple[Rule, ...], BeforeValidator(_rules)] = written([])


class Verify(Section):
    """Whether TensorFlow itself opens new models."""

    when: Annotated[Literal["off", "new"], expecting('"off" or "new"')] = "off"
    python: kinds.Text = ""
    custom_objects: kinds.Objects = written([])


class Log(Section):
    """What is logged, and how."""

    level: kinds.Level = "info"
    format: Annotated[
        Literal["auto", "console", "json"], expecting('"auto", "console" or "json"')
    ] = "auto"


class Document(Section):
    """A whole settings file."""

    models: Models
    registry: Registry = Field(default_factory=Registry)
    watch: Watch = Field(default_factory=Watch)
    schedule: Schedule = Field(default_factory=Schedule)
    retention: Retention = Field(default_factory=Retention)
    verify: Verify = Field(default_factory=Verify)
    log: Log = Field(default_factory=Log)

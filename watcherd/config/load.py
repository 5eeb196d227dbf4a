"""Settings file, command line and defaults → one frozen value, or every fault at once."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from watcherd.config.document import SYSTEM_FILE, find
from watcherd.config.faults import faults_in
from watcherd.config.keys import keys
from watcherd.config.sections import IN_ROOT, Document, Registry
from watcherd.config.settings import Origin, Settings, Written
from watcherd.errors import Fault, NoSettings, SettingsError

_Tables = Mapping[str, Any]


def load(
    *,
    config: Path | None = None,
    root: Path | None = None,
    registry: str | None = None,
    environ: Mapping[str, str],
    system_file: Path = SYSTEM_FILE,
) -> Settings:
    """Settings from ``config``, else ``$WATCHERD_CONFIG``, else ``system_file``, else defaults.

    ``root`` and ``registry`` (a URL) override the file. A relative root, or a relative path in an
    SQLite URL, counts from the folder of the file that gives it, and on the command line from the
    working folder. The root need not exist. Raises SettingsError with every fault.
    """
    file = find(config, environ, system_file)
    source = str(file.path) if file else "defaults"
    if file is None and root is None:
        raise NoSettings(str(system_file))
    given = {"models.root": root, "registry.url": registry}
    overrides = {key: str(value) for key, value in given.items() if value is not None}
    tables = file.tables if file else {}
    folder = file.path.parent if file else Path()
    bases = {key: Path() if key in overrides else folder for key in given}
    document = _validated(_overridden(tables, overrides), bases, source)
    return _settings(document, source, dict(_written(tables, overrides)))


def _settings(document: Document, source: str, written: Mapping[str, Written]) -> Settings:
    return Settings(
        models=document.models,
        registry=_below_root(document, source),
        watch=document.watch,
        schedule=document.schedule,
        retention=document.retention,
        verify=document.verify,
        log=document.log,
        source=source,
        written=written,
    )


def _overridden(tables: _Tables, overrides: Mapping[str, str]) -> dict[str, Any]:
    """The tables with the command line's values; what is no table is left to be found wrong."""
    given = {"models": {}, **tables}
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        table = given.get(section, {})
        if isinstance(table, dict):
            given[section] = table | {name: value}
    return given


def _validated(given: _Tables, bases: Mapping[str, Path], source: str) -> Document:
    try:
        with _without_plugins():
            return Document.model_validate(given, context=bases)
    except ValidationError as error:
        raise SettingsError(tuple(faults_in(error, given)), source) from None


@contextmanager
def _without_plugins() -> Iterator[None]:
    """Without pydantic's plugins, that other packages may bring: our settings are no concern of
    theirs, and to look for them reads what every installed package says of itself."""
    name = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(name)
    os.environ[name] = "__all__"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _below_root(document: Document, source: str) -> Registry:
    """The registry's section with ROOT in its URL replaced."""
    url, root = document.registry.url, str(document.models.root)
    if not url.startswith(IN_ROOT):
        return document.registry
    if "?" in root:
        expected = f"a URL outside the models root, because {root} has a ? that no URL can hold"
        raise SettingsError([Fault("registry.url", url, expected)], source)
    below = f"sqlite:///{root.rstrip('/')}/{url.removeprefix(IN_ROOT)}"
    return document.registry.model_copy(update={"url": below})


def _written(tables: _Tables, overrides: Mapping[str, str]) -> Iterator[tuple[str, Written]]:
    for key in keys():
        section, _, name = key.name.partition(".")
        if "." in name:
            continue  # within a rule
        if key.name in overrides:
            yield key.name, Written(overrides[key.name], Origin.COMMAND_LINE)
        elif name in (table := tables.get(section, {})):
            yield key.name, Written(table[name], Origin.FILE)
        else:
            yield key.name, Written(key.default, Origin.DEFAULT)

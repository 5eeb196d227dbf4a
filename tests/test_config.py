"""Settings: every key, every fault at once, and where each value comes from."""

import json
import re
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from watcherd.artifact import Form
from watcherd.config import (
    Cron,
    Every,
    Fault,
    FreeSpace,
    Origin,
    Settings,
    SettingsError,
    Written,
    keys,
    load,
    naming_of,
)
from watcherd.retention import Best, Rule
from watcherd.wiring import rules_of

HOUSE = Path(__file__).parents[1]
EXAMPLE = HOUSE / "config.example.toml"
DOCUMENT = HOUSE / "docs" / "settings.md"

Loader = Callable[[str], Settings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "watcherd.toml"


@pytest.fixture
def loaded(file: Path) -> Loader:
    """Load settings from TOML, below a root that need not be given."""

    def load_text(text: str) -> Settings:
        file.write_text(text, encoding="utf-8")
        return load(config=file, root=Path("/srv/models"), environ={})

    return load_text


def faults(loaded: Loader, text: str) -> dict[str, Fault]:
    with pytest.raises(SettingsError) as refused:
        loaded(text)
    return {fault.key: fault for fault in refused.value.faults}


def line_for(key: str, value: str) -> str:
    """TOML that sets one key, ``watch.settle``, or one of a rule that is otherwise right."""
    section, _, name = key.rpartition(".")
    if section == "retention.rule":
        keep = "" if name == "max_to_keep" else "max_to_keep = 5\n"
        return f"[[retention.rule]]\n{keep}{name} = {value}\n"
    return f"[{section}]\n{name} = {value}\n"


# Which file, and what overrides it


def test_a_root_alone_gives_the_defaults(tmp_path: Path) -> None:
    found = load(root=tmp_path / "models", environ={}, system_file=tmp_path / "none.toml")
    assert found.source == "defaults"
    assert found.models.root == tmp_path / "models"
    assert found.models.layout == ("{interval}/{ticker}/{type}",)
    assert found.models.ensembles == ("ensemble_*", "ensembly_*")
    assert found.models.state_files == ("checkpoint",)
    assert found.models.types == found.models.names == found.models.ignore == ()
    assert found.registry.url == f"sqlite:///{tmp_path}/models/.watcherd/registry.db"
    assert found.registry.forget_missing is found.registry.history_for is None
    assert found.registry.backup == 86400
    assert (found.watch.settle, found.watch.poll, found.watch.use) == (1, 30, "auto")
    assert (found.schedule.reconcile, found.schedule.prune) == (Every(3600), Every(900))
    assert found.retention.trash_for == 3 * 86400
    assert found.retention.min_free_space == FreeSpace(size_bytes=20 * 10**9)
    assert (found.retention.dry_run, found.retention.min_age) == (False, 300)
    assert (found.retention.max_prune_count, found.retention.max_prune_fraction) == (100, 0.5)
    assert found.retention.rule == ()
    assert (found.verify.when, found.verify.python, found.verify.custom_objects) == ("off", "", ())
    assert (found.log.level, found.log.format) == ("info", "auto")


def test_without_file_and_root_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^no models root is named$") as refused:
        load(environ={}, system_file=tmp_path / "none.toml")
    for way in ("--root DIR", "--config FILE", "$WATCHERD_CONFIG", "none.toml"):
        assert way in refused.value.hint


def test_the_command_line_goes_before_the_environment_before_the_system(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.toml" for name in ("line", "environ", "system")}
    for name, path in files.items():
        path.write_text(f'models.root = "/srv/{name}"\n')
    environ = {"WATCHERD_CONFIG": str(files["environ"])}

    def root(config: Path | None, environ: dict[str, str]) -> str:
        return load(config=config, environ=environ, system_file=files["system"]).models.root.name

    assert root(files["line"], environ) == "line"
    assert root(None, environ) == "environ"
    assert root(None, {}) == "system"
    assert root(None, {"WATCHERD_CONFIG": ""}) == "system"


def test_root_and_registry_override_the_file(file: Path) -> None:
    file.write_text('models.root = "/srv/a"\nregistry.url = "sqlite:////srv/a.db"\n')
    found = load(config=file, root=Path("/srv/b"), registry="sqlite:////srv/b.db", environ={})
    assert (found.models.root, found.registry.url) == (Path("/srv/b"), "sqlite:////srv/b.db")


def test_every_value_knows_where_it_comes_from(file: Path) -> None:
    file.write_text('models.root = "/srv/a"\nwatch.settle = "2s"\n')
    found = load(config=file, root=Path("/srv/b"), environ={})
    assert found.source == str(file)
    assert found.written["models.root"] == Written("/srv/b", Origin.COMMAND_LINE)
    assert found.written["watch.settle"] == Written("2s", Origin.FILE)
    assert found.written["watch.poll"] == Written("30s", Origin.DEFAULT)
    assert set(found.written) == {key.name for key in keys() if key.name.count(".") == 1}


def test_settings_are_frozen(loaded: Loader) -> None:
    found = loaded("")
    with pytest.raises(FrozenInstanceError):
        found.source = "elsewhere"  # type: ignore[misc]  # the point of the test
    with pytest.raises(ValidationError):
        found.watch.settle = 5


@pytest.mark.parametrize("named_by", ["--config", "$WATCHERD_CONFIG"])
def test_a_file_that_is_named_must_be_there(file: Path, named_by: str) -> None:
    config = file if named_by == "--config" else None
    environ = {} if config else {"WATCHERD_CONFIG": str(file)}
    with pytest.raises(SettingsError, match="No such file") as refused:
        load(config=config, root=Path("/srv/models"), environ=environ)
    assert [(fault.key, fault.value) for fault in refused.value.faults] == [(named_by, str(file))]


def test_a_system_file_that_cannot_be_read_is_no_absent_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Is a directory"):
        load(root=Path("/srv/models"), environ={}, system_file=tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(SettingsError, match="symbolic links"):
        load(root=Path("/srv/models"), environ={}, system_file=tmp_path / "circle")
    (tmp_path / "file").touch()
    found = load(root=Path("/srv"), environ={}, system_file=tmp_path / "file" / "below.toml")
    assert found.source == "defaults"


@pytest.mark.parametrize(
    ("content", "line", "text", "expected"),
    [
        (b"[models\nroot = 1", "line 1", "[models", "column 8"),
        (b'[watch]\nsettle "1s"\n', "line 2", 'settle "1s"', "Expected '='"),
        (b"[models]\nroot =\n\n", "line 2", "root =", "Invalid value"),
        (b"a = 1\na = 2\n", "line 2", "a = 2", "overwrite"),
        (b"a = 1\nb = '\xff'\n", "line 2", "b = '\N{REPLACEMENT CHARACTER}'", "text in UTF-8"),
        (b"a = " + b"[" * 5000, "the file", None, "TOML"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(
    file: Path, content: bytes, line: str, text: str | None, expected: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load(config=file, environ={})
    (fault,) = refused.value.faults
    assert (fault.key, fault.value) == (line, text)
    assert expected in fault.expected


def test_a_byte_order_mark_is_no_fault(file: Path) -> None:
    file.write_text('models.root = "/srv/models"', encoding="utf-8-sig")
    assert load(config=file, environ={}).models.root == Path("/srv/models")


# Paths


def test_a_relative_root_counts_from_its_file_or_from_the_working_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file.write_text('models.root = "models"\nregistry.url = "sqlite:///r.db?timeout=9"\n')
    of_file = load(config=file, environ={})
    assert of_file.models.root == tmp_path / "models"
    assert of_file.registry.url == f"sqlite:///{tmp_path}/r.db?timeout=9"
    of_line = load(config=file, root=Path("m"), registry="sqlite:///r.db", environ={})
    assert of_line.models.root == tmp_path / "here" / "m"
    assert of_line.registry.url == f"sqlite:///{tmp_path}/here/r.db"


def test_the_root_is_resolved_and_its_home_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    monkeypatch.setenv("HOME", str(tmp_path))
    absent = tmp_path / "none.toml"
    for given_root in ("~/link", f"{tmp_path}/x/../link/", f"{tmp_path}/link"):
        found = load(root=Path(given_root), environ={}, system_file=absent)
        assert found.models.root == tmp_path / "disk", given_root


def test_the_registry_lies_below_the_root_wherever_the_url_says_so(loaded: Loader) -> None:
    found = loaded('registry.url = "sqlite:///ROOT/db/r.db?timeout=5"')
    assert found.registry.url == "sqlite:////srv/models/db/r.db?timeout=5"
    assert loaded('registry.url = "postgresql://h/w"').registry.url == "postgresql://h/w"


def test_a_root_that_no_url_can_hold_needs_a_url_of_its_own(tmp_path: Path) -> None:
    absent = tmp_path / "none.toml"
    with pytest.raises(SettingsError, match=r"registry\.url.*outside the models root"):
        load(root=Path("/srv/what?"), environ={}, system_file=absent)
    url = "sqlite:////srv/r.db"
    assert load(root=Path("/srv/what?"), registry=url, environ={}, system_file=absent)


# Values


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("watch.settle", '"500ms"', 0.5),
        ("watch.settle", '"1.5s"', 1.5),
        ("watch.poll", '"2w"', 14 * 86400),
        ("retention.trash_for", '"0s"', 0),
        ("registry.forget_missing", '"90d"', 90 * 86400),
        ("registry.backup", '"off"', None),
        ("retention.min_free_space", '"20GiB"', FreeSpace(size_bytes=20 * 2**30)),
        ("retention.min_free_space", '"5%"', FreeSpace(share=0.05)),
        ("retention.min_free_space", '"1.5 TB"', FreeSpace(size_bytes=1_500_000_000_000)),
        ("retention.max_prune_fraction", "1", 1),
        ("schedule.prune", '"off"', None),
        ("schedule.prune", '"90m"', Every(5400)),
        ("schedule.prune", '"*/5 3 * * *"', Cron("*/5 3 * * *")),
        ("models.layout", '["{ticker}/{type}", "{type}"]', ("{ticker}/{type}", "{type}")),
        ("models.names", '["w.{epoch:02d}.h5"]', ("w.{epoch:02d}.h5",)),
        ("verify.custom_objects", '["my.layers:Gate"]', ("my.layers:Gate",)),
        ("log.level", '"debug"', "debug"),
    ],
)
def test_a_value_is_read(loaded: Loader, key: str, text: str, value: object) -> None:
    section, _, name = key.partition(".")
    assert getattr(getattr(loaded(line_for(key, text)), section), name) == value


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("watch.settle", "1", "a time with its unit"),
        ("watch.settle", '"1"', "a time with its unit"),
        ("watch.settle", '"0s"', "longer than zero"),
        ("watch.settle", '"-1s"', "a time with its unit"),
        ("watch.settle", '"1M"', "a time with its unit"),
        ("watch.settle", '"never"', "a time with its unit"),
        ("registry.forget_missing", '"off"', 'or "never"'),
        ("registry.history_for", '"0d"', 'or "forever"'),
        ("registry.url", '"/srv/r.db"', "the URL of a database"),
        ("registry.url", '"sqlite://"', "the URL of a database"),
        ("registry.url", '"sqlite:///:memory:"', "that outlives the program"),
        ("watch.use", '"inotify"', '"auto", "events" or "poll"'),
        ("schedule.prune", '"0s"', "a cron line"),
        ("schedule.prune", '"61 * * * *"', "a cron line"),
        ("schedule.prune", '"* * * *"', "a cron line"),
        ("schedule.prune", '"0 0 * * 5-1"', "a cron line"),
        ("retention.min_free_space", '"50"', "a size with its unit"),
        ("retention.min_free_space", '"101%"', "a share of the disk"),
        ("retention.min_free_space", "50", "a size with its unit"),
        ("retention.dry_run", '"yes"', "true or false"),
        ("retention.dry_run", "1", "true or false"),
        ("retention.max_prune_count", "true", "a whole number, 0 or more"),
        ("retention.max_prune_count", "1.0", "a whole number, 0 or more"),
        ("retention.max_prune_fraction", "1.5", "from 0 to 1"),
        ("retention.max_prune_fraction", "nan", "from 0 to 1"),
        ("retention.max_prune_fraction", "true", "from 0 to 1"),
        ("models.types", '"LSTM"', "a list"),
        ("models.layout", "[]", "a layout of folders"),
        ("models.layout", '"{typ}/{ticker}"', "{typ} is none of {interval}, {ticker}, {type}"),
        ("retention.rule.max_to_keep", "0", "1 or more; to keep everything, remove the rule"),
        ("retention.rule.max_to_keep", "-1", "1 or more; to keep everything, remove the rule"),
        ("retention.rule.per", '"ticker"', '"family" or "folder"'),
        ("log.level", '"INFO"', '"debug", "info", "warning" or "error"'),
    ],
)
def test_a_bad_value_is_refused_with_what_was_expected(
    loaded: Loader, key: str, text: str, expected: str
) -> None:
    found = faults(loaded, line_for(key, text))
    (fault,) = found.values()
    assert fault.key == key.replace("rule.", "rule[0].")
    assert expected in fault.expected
    value = tomllib.loads(f"v = {text}")["v"]
    assert fault.value == value or repr(fault.value) == repr(value)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("models.types", '["LSTM", 3]', "text in quotes"),
        ("models.ignore", '["a", ""]', "not empty"),
        ("models.state_files", '["checkpoint", "a/b"]', "without its folder"),
        ("models.names", '["{epoch}", "{epoch"]', "expected '}'"),
        ("models.names", '["{epoch}", "model.h5"]', "no field such as {epoch}"),
        ("models.layout", '["{type}", "{typ}"]', "{typ} is none of {interval}, {ticker}, {type}"),
        ("verify.custom_objects", '["a:B", "a.B"]', '"module:Name"'),
    ],
)
def test_a_bad_item_is_refused_by_its_place(
    loaded: Loader, key: str, text: str, expected: str
) -> None:
    found = faults(loaded, line_for(key, text))
    assert list(found) == [f"{key}[1]"]
    assert expected in found[f"{key}[1]"].expected


def test_every_fault_is_told_at_once(file: Path) -> None:
    text = """
        colour = "red"
        [models]
        root = 5
        names = ["model.h5"]
        settle = "1s"
        [watch]
        setle = "1s"
        poll = 30
        [log]
        level = "loud"
        [[retention.rule]]
        [[retention.rule]]
        max_to_keep = 0
        match = { tickr = "BTC*", format = "ckpt" }
        [[retention.rule]]
        keep_daily = -1
        keep_best = { metric = "val_loss" }
    """
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load(config=file, environ={})
    assert {fault.key for fault in refused.value.faults} == {
        "colour",
        "models.root",
        "models.names[0]",
        "models.settle",
        "watch.setle",
        "watch.poll",
        "log.level",
        "retention.rule[0]",
        "retention.rule[1].max_to_keep",
        "retention.rule[1].match.tickr",
        "retention.rule[1].match.format",
        "retention.rule[2].keep_daily",
        "retention.rule[2].keep_best.mode",
    }


def test_the_error_lists_each_fault_on_a_line_of_its_own(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded('watch.settle = "soon"\nlog.level = 5\n')
    first, *lines = str(refused.value).splitlines()
    assert first.endswith("watcherd.toml: 2 faults in the settings")
    assert lines[0].startswith("  watch.settle = 'soon': expected a time with its unit")
    assert lines[1].startswith("  log.level = 5: expected ")


def test_faults_are_told_in_the_words_of_the_file_not_of_python(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded("retention.dryrun = true\n[[retention.rule]]\nmax_to_keep = 1\nkeep_best = {}\n")
    lines = str(refused.value).splitlines()
    assert any(line.startswith("  retention.dryrun = true: expected ") for line in lines)
    missing = "  retention.rule[0].keep_best.metric: expected "
    assert any(line.startswith(missing) for line in lines)


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("[retension]", "retension", "retention"),
        ('watch.setle = "1s"', "watch.setle", "settle"),
        ('models.settle = "1s"', "models.settle", "watch.settle"),
        ("[[retention.rule]]\nmax_tokeep = 1\nmax_to_keep = 1", "retention.rule[0].max_tokeep",
         "max_to_keep"),
        ("[retention]\nmax_to_keep = 1", "retention.max_to_keep", "retention.rule.max_to_keep"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_told_which_key_was_probably_meant(
    loaded: Loader, text: str, key: str, meant: str
) -> None:
    assert faults(loaded, text)[key].expected.endswith(f"; did you mean {meant}?")


def test_a_key_like_no_other_is_told_which_there_are(loaded: Loader) -> None:
    expected = faults(loaded, "watch.xyzzy = 1")["watch.xyzzy"].expected
    assert expected == "one of the keys settle, poll, use"


def test_a_value_in_place_of_a_table_is_told_what_belongs_there(loaded: Loader) -> None:
    text = "watch = 3\nmodels = true\n[retention.rule]\nmax_to_keep = 1\n"
    found = faults(loaded, text)
    assert found["watch"].expected == "a table of settle, poll, use"
    assert "a table of root" in found["models"].expected
    assert "[[retention.rule]] in double brackets" in found["retention.rule"].expected


def test_a_file_without_a_root_is_told_how_to_give_one(file: Path) -> None:
    file.write_text("")
    with pytest.raises(SettingsError, match=r"models\.root.*write root = .* or give --root DIR"):
        load(config=file, environ={})


@pytest.mark.parametrize(
    ("weekdays", "days"),
    [
        ("0", "sun"),
        ("7", "sun"),
        ("5", "fri"),
        ("1-5", "mon tue wed thu fri"),
        ("0-7", "sun mon tue wed thu fri sat"),
        ("*/2", "sun tue thu sat"),
        ("1-6/2", "mon wed fri"),
        ("6,7", "sun sat"),
        ("sat,0", "sun sat"),
        ("mon-fri", "mon tue wed thu fri"),
        ("*", "sun mon tue wed thu fri sat"),
    ],
)
def test_weekdays_are_those_of_cron(loaded: Loader, weekdays: str, days: str) -> None:
    """To cron, 0 and 7 are Sunday; to APScheduler, 0 is Monday."""
    found = loaded(f'schedule.prune = "0 0 * * {weekdays}"').schedule.prune
    assert isinstance(found, Cron)
    trigger = CronTrigger.from_crontab(found.line, UTC)
    week = [datetime(2024, 1, day, tzinfo=UTC) for day in range(7, 14)]  # from a Sunday
    fired = [day for day in week if trigger.get_next_fire_time(None, day) == day]
    assert " ".join(f"{day:%a}".lower() for day in fired) == days


def test_free_space_is_absolute_or_a_share_of_the_disk() -> None:
    assert FreeSpace(size_bytes=20).of(1000) == 20
    assert FreeSpace(share=0.05).of(1000) == 50


# Retention rules


def test_a_rule_is_read_whole(loaded: Loader) -> None:
    (rule,) = loaded(
        "[[retention.rule]]\nmatch = { interval = '1h', format = 'CHECK*' }\nmax_to_keep = 5\n"
    ).retention.rule
    assert rule.match.globs() == {"interval": "1h", "format": "CHECK*"}
    assert (rule.per, rule.max_to_keep, rule.keep_tags) == ("family", 5, ())


@pytest.mark.parametrize(
    ("key", "text", "carried_out"),
    [
        ("max_to_keep", "5", 5),
        ("keep_checkpoint_every_n_hours", "12", 12.0),
        ("keep_checkpoint_every_n_hours", "0.5", 0.5),
        ("keep_every_n_steps", "10000", 10_000),
        ("keep_within", '"24h"', 86_400.0),
        ("keep_daily", "7", 7),
        ("keep_weekly", "4", 4),
        ("keep_monthly", "6", 6),
        ("keep_tags", '["champion", "stage=live"]', ("champion", "stage=live")),
        ("keep_best", '{ metric = "val_loss", mode = "min" }', Best("val_loss", "min", 1)),
        ("keep_best", '{ metric = "acc", mode = "max", count = 3 }', Best("acc", "max", 3)),
        ("per", '"folder"', "folder"),
        ("match", '{ interval = "1M", type = "L*" }', {"interval": "1M", "type": "L*"}),
    ],
)
def test_every_key_of_a_rule_is_carried_out(
    loaded: Loader, key: str, text: str, carried_out: object
) -> None:
    (rule,) = rules_of(loaded(line_for(f"retention.rule.{key}", text)))
    assert rule == replace(Rule(max_to_keep=5), **{key: carried_out})


def test_the_settings_and_the_decision_know_the_same_keys_of_a_rule() -> None:
    prefix = "retention.rule."
    known = {key.name.removeprefix(prefix) for key in keys() if key.name.startswith(prefix)}
    assert {name for name in known if "." not in name} | {"match"} == {
        field.name for field in fields(Rule)
    }


@pytest.mark.parametrize("keeps", ["", "keep_tags = []\n", "per = 'folder'\n"])
def test_a_rule_that_keeps_nothing_is_told_what_to_write_instead(
    loaded: Loader, keeps: str
) -> None:
    (fault,) = faults(loaded, f"[[retention.rule]]\n{keeps}").values()
    assert fault.key == "retention.rule[0]"
    assert "such as max_to_keep = 5; to keep everything, remove the rule" in fault.expected


# Names


def test_the_settings_say_how_names_are_read(loaded: Loader) -> None:
    naming = naming_of(
        loaded(
            """[models]
            layout = ["{ticker}/{type}"]
            types = ["LSTM"]
            ensembles = ["ens*"]
            names = ["{epoch}#.h5"]
            state_files = ["latest"]
            ignore = ["old"]
            """
        )
    )
    assert naming.place("BTC/LSTM/a.h5", Form.HDF5).ticker == "BTC"
    assert naming.place("BTC/GRU/a.h5", Form.HDF5).unplaced
    assert naming.place("BTC/ens1/a.h5", Form.HDF5).ensemble_type == "ens1"
    assert naming.read_name("3#.h5", Form.HDF5).step == 3
    assert naming.ignores("BTC/old/a.h5") == "old"
    assert naming.state_files == ("latest",)


# Nothing but settings or a SettingsError


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


KNOWN = sorted({part for key in keys() for part in key.name.split(".")})
TEXTS = [
    "", "1h", "0s", "off", "never", "0 * * * *", "* * * * 1#2", "L * * * *", "0 0 1st * mon", "5%",
    "999999999999GB", "1e9GB", "{epoch}", "{epoch:04d}", "{a[}", "{}", "{0.x}", "{x:%Y}", "{x:tt}",
    "*", "[", "family", "min", "sqlite:///ROOT/x", "sqlite:///~nobody-here/x", "~nobody-here", "\0",
]  # fmt: skip
values = st.recursive(
    st.sampled_from(TEXTS) | st.text() | st.integers() | st.floats() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KNOWN), inner, max_size=4)
    ),
    max_leaves=12,
)


documents = st.dictionaries(st.sampled_from(KNOWN), values, max_size=4) | st.builds(
    lambda key, value: {key.split(".")[0]: {key.split(".")[1]: value}},
    st.sampled_from([key.name for key in keys() if key.name.count(".") == 1]),
    values,
)


@given(documents)
def test_no_settings_file_raises_anything_else(file: Path, document: dict[str, Any]) -> None:
    lines = [f"{json.dumps(key)} = {_toml(value)}" for key, value in document.items()]
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    with suppress(SettingsError):
        naming_of(load(config=file, root=Path("/srv/models"), environ={}))


# The documents


def test_the_example_is_valid_and_prunes_nothing() -> None:
    found = load(config=EXAMPLE, environ={})
    assert found.retention.rule
    assert found.retention.dry_run


def test_the_example_shows_every_key_and_no_other() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    uncommented = re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)
    shown = set(_names(tomllib.loads(uncommented)))
    assert shown - {"retention.rule"} == {key.name for key in keys()} - {"retention.rule"}


def test_the_example_shows_the_defaults_but_for_dry_run_and_its_rule() -> None:
    written = load(config=EXAMPLE, environ={}).written
    defaults = {key.name: key.default for key in keys()}
    differing = {name for name, (value, _) in written.items() if value != defaults[name]}
    assert differing == {"models.root", "retention.dry_run", "retention.rule"}


def test_what_the_example_shows_commented_out_is_valid_too(loaded: Loader) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    (rule,) = loaded(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)).retention.rule
    assert all(getattr(rule, key) for key in type(rule).model_fields), "every keep is shown"


def _names(table: dict[str, Any], prefix: str = "") -> list[str]:
    """Every key of a document, as the documentation names it."""
    names = []
    for key, value in table.items():
        below = value[0] if isinstance(value, list) and value and key == "rule" else value
        if isinstance(below, dict):
            names += _names(below, f"{prefix}{key}.")
        if not isinstance(below, dict) or key in ("rule", "keep_best"):
            names.append(prefix + key)
    return names


def test_the_documentation_has_every_key_with_its_default_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    documented = {name: default.strip("`") for name, default in rows}
    assert len(rows) == len(documented)
    assert documented == {
        key.name: "—" if key.default is None else json.dumps(key.default) for key in keys()
    }

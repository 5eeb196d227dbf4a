"""The service under a real systemd, booted once: its life, what it may do, and one's own."""

import re
import time
from collections.abc import Iterator

import pytest

from tests.conftest import Saved, on_disk, rows, wait_until
from tests.machine import SETTINGS, WATCHERD, Machine, booted
from watcherd.errors import Exit

OWN = ("HOME=/home/trainer", "XDG_RUNTIME_DIR=/run/trainer")
"""Environment of a user's own systemd."""


@pytest.fixture(scope="module")
def machine(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted once; every test leaves the service able to start."""
    with booted(tmp_path_factory.mktemp("machine"), saved) as machine:
        yield machine


@pytest.fixture
def service(machine: Machine) -> Machine:
    """The machine with its service running."""
    machine.systemctl("start", "watcherd")
    return machine


# Its life


def test_systemd_finds_nothing_wrong_with_the_units_where_they_are_installed(
    machine: Machine,
) -> None:
    units = [f"/etc/systemd/system/watcherd{name}.service" for name in ("", "@btc")]
    system = machine.run("systemd-analyze", "verify", *units)
    own = "/home/trainer/.config/systemd/user/watcherd.service"
    user = machine.run("env", *OWN, "systemd-analyze", "--user", "verify", own, user="trainer")
    assert [done.stdout + done.stderr for done in (system, user)] == ["", ""]


def test_a_start_waits_until_every_folder_is_watched(machine: Machine) -> None:
    machine.save("1h/BTCUSDT/LSTM/first.h5")
    machine.systemctl("start", "watcherd")
    assert [line["event"] for line in machine.log()][:2] == ["daemon.started", "watch.started"]
    assert machine.property("watcherd", "ActiveState") == "active"


def test_its_status_says_how_many_models_folders_and_requests(service: Machine) -> None:
    service.save("1h/BTCUSDT/LSTM/counted.h5")
    pattern = r"[1-9]\d* models, ([1-9]\d*)/\1 folders watched, \d+ waiting"
    wait_until(lambda: re.fullmatch(pattern, service.property("watcherd", "StatusText")), 20, 0.1)


def test_the_child_reads_what_a_trainer_saves(service: Machine) -> None:
    service.save("1h/ETHUSDT/LSTM/read.h5")
    service.wait_until_registered("1h/ETHUSDT/LSTM/read.h5")
    (row,) = rows(service.models, "SELECT * FROM model WHERE path = '1h/ETHUSDT/LSTM/read.h5'")
    assert (row["state"], row["ticker"], row["class_name"]) == ("present", "ETHUSDT", "Sequential")
    assert row["parameters"] > 0


def test_what_a_trainer_saves_is_pruned_and_what_was_pruned_comes_back_at_a_trainers_word(
    service: Machine,
) -> None:
    for step in (1, 2):
        service.save_checkpoint(f"1h/BTCUSDT/PRUNED/ckpt-{step}")
    assert service.wait_for("prune.trashed")["path"] == "1h/BTCUSDT/PRUNED/ckpt-1"
    folder = service.models / "1h/BTCUSDT/PRUNED"
    assert not (folder / "ckpt-1.index").exists()
    restore = (WATCHERD, "restore", "1h/BTCUSDT/PRUNED/ckpt-1")
    refused = service.run(*restore, user="reader", check=False)
    assert refused.returncode != 0
    assert not (folder / "ckpt-1.index").exists()
    service.run(*restore, user="trainer")
    assert (folder / "ckpt-1.index").exists()


def test_a_trainer_may_mark_models_and_an_ordinary_user_may_not(service: Machine) -> None:
    path = "1h/BTCUSDT/LSTM/marked.h5"
    service.save(path)
    service.wait_until_registered(path)
    service.run(WATCHERD, "pin", path, user="trainer")
    service.run(WATCHERD, "record", path, "sharpe=1.3", user="trainer")
    refused = service.run(WATCHERD, "unpin", path, user="reader", check=False)
    assert refused.returncode == Exit.FAILED
    assert "group write permission" in refused.stderr
    (row,) = rows(service.models, "SELECT pinned FROM model WHERE path = ?", path)
    assert row["pinned"]


def test_a_trainer_may_reconcile_where_it_does_not_run(service: Machine) -> None:
    service.systemctl("stop", "watcherd")
    service.save("1h/BTCUSDT/LSTM/reconciled.h5")
    service.run(WATCHERD, "reconcile", user="trainer")
    assert "1h/BTCUSDT/LSTM/reconciled.h5" in on_disk(service.models)


def test_an_ordinary_user_may_list_while_it_runs_and_after_it_stopped(service: Machine) -> None:
    service.save("1h/BTCUSDT/LSTM/listed.h5")
    service.wait_until_registered("1h/BTCUSDT/LSTM/listed.h5")
    assert "listed.h5" in service.run(WATCHERD, "list", user="reader").stdout
    service.systemctl("stop", "watcherd")
    assert "listed.h5" in service.run(WATCHERD, "list", user="reader").stdout
    assert "listed.h5" in service.run(WATCHERD, "list", user="trainer").stdout


def test_a_reload_takes_new_settings_and_fails_where_they_are_wrong(service: Machine) -> None:
    before = len(service.events("daemon.reloaded"))
    pid = pid_of(service, "watcherd")
    service.systemctl("reload", "watcherd")
    service.wait_for("daemon.reloaded", before + 1)
    service.configure('[watch]\nsettle = "soon"\n')
    refused = service.run("systemctl", "reload", "watcherd", check=False)
    failure = service.wait_for("failure.raised")
    service.configure(SETTINGS.format(below=""))
    assert refused.returncode != 0
    assert "watch.settle" in failure["error"]
    assert pid_of(service, "watcherd") == pid
    service.save("1h/BTCUSDT/LSTM/after.h5")
    service.wait_until_registered("1h/BTCUSDT/LSTM/after.h5")


def test_it_is_started_again_when_it_was_killed(service: Machine) -> None:
    before, pid = restarts_of(service, "watcherd"), killed(service, "KILL")
    wait_until(lambda: restarts_of(service, "watcherd") == before + 1, 20, 0.1)
    wait_until(lambda: service.property("watcherd", "ActiveState") == "active", 20, 0.1)
    assert pid_of(service, "watcherd") != pid


def restarts_of(machine: Machine, unit: str) -> int:
    return int(machine.property(unit, "NRestarts"))


def pid_of(machine: Machine, unit: str) -> str:
    return machine.property(unit, "MainPID")


def killed(machine: Machine, signal: str, unit: str = "watcherd") -> str:
    """Send a signal to the daemon alone; returns the pid that it had."""
    pid = pid_of(machine, unit)
    machine.systemctl("kill", "--kill-whom=main", f"--signal={signal}", unit)
    return pid


def test_it_stops_cleanly_within_five_seconds(service: Machine) -> None:
    started = time.monotonic()
    service.systemctl("stop", "watcherd")
    assert time.monotonic() - started < 5
    assert service.property("watcherd", "Result") == "success"
    assert service.log()[-1]["event"] == "daemon.stopped"


def test_wrong_settings_end_it_and_it_is_not_tried_again(machine: Machine) -> None:
    machine.systemctl("stop", "watcherd")
    machine.run("mkdir", "-p", "/srv/models/eth", user="trainer")
    machine.configure("[watch]\nsettel = 1\n", "eth")
    done = machine.run("systemctl", "start", "watcherd@eth", check=False)
    assert done.returncode != 0
    assert machine.property("watcherd@eth", "ExecMainStatus") == str(Exit.SETTINGS.value)
    assert machine.property("watcherd@eth", "NRestarts") == "0"


@pytest.fixture
def instances(machine: Machine) -> Iterator[Machine]:
    """The machine with two instances running on two roots."""
    machine.systemctl("stop", "watcherd")
    for name in ("btc", "eth"):
        machine.configure(SETTINGS.format(below=f"/{name}"), name)
        machine.save(f"{name}/1h/{name.upper()}/LSTM/of_{name}.h5")
    machine.systemctl("start", "watcherd@btc", "watcherd@eth")
    yield machine
    machine.systemctl("stop", "watcherd@btc", "watcherd@eth")


def test_two_instances_keep_two_roots(instances: Machine) -> None:
    for name in ("btc", "eth"):
        path = f"1h/{name.upper()}/LSTM/of_{name}.h5"
        instances.wait_until_registered(path, name)
        assert on_disk(instances.models / name) == {path: "present"}


def test_one_that_hangs_says_where_and_is_started_again_by_the_watchdog(
    instances: Machine,
) -> None:
    before, other = restarts_of(instances, "watcherd@btc"), pid_of(instances, "watcherd@eth")
    hung = killed(instances, "STOP", "watcherd@btc")
    wait_until(lambda: restarts_of(instances, "watcherd@btc") == before + 1, 30, 0.1)
    said = instances.run("journalctl", "-q", "-o", "cat", "_SYSTEMD_UNIT=watcherd@btc.service")
    assert "Fatal Python error: Aborted" in said.stdout, "the traceback of its threads"
    wait_until(lambda: instances.property("watcherd@btc", "ActiveState") == "active", 20, 0.1)
    assert pid_of(instances, "watcherd@btc") != hung
    assert pid_of(instances, "watcherd@eth") == other


# What it may do, and what not

ALLOWED = """
read a home
make a file in the root
make a file in its state folder
make a file in its runtime folder
lock a file of its own
make a setgid folder of its group
see who locks a model
speak to systemd
write code and run it
become idle
"""

DENIED = {
    "write a model elsewhere": "EROFS",
    "make a file in /etc": "EROFS",
    "make a file in its settings' folder": "EACCES",
    "make a file in /var": "EROFS",
    "make a file in a home": "EROFS",
    "see other users' processes": "ENOENT",
    "speak to the network": "EAFNOSUPPORT",
    "find a graphics card": "ENOENT",
    "see the kernel's log": "ENOENT",
    "become root": "EPERM",
    "make a namespace": "EPERM",
    "take the processor for itself": "EPERM",
    "rename the machine": "EPERM",
}


@pytest.fixture(scope="module")
def outcomes(machine: Machine) -> dict[str, str]:
    """Attempt -> what came of it, under every line of the service's unit but those of its start."""
    machine.run("touch", "/srv/models/locked.h5", user="trainer")
    machine.run(
        "systemd-run", "--unit=trainer", "--uid=trainer", "-p", "Type=notify", "-p",
        "NotifyAccess=all", "flock", "/srv/models/locked.h5", "sh", "-c",
        "systemd-notify --ready; exec sleep 600",
    )  # fmt: skip
    machine.systemctl("start", "probe")
    machine.systemctl("stop", "trainer")
    machine.run("rm", "/srv/models/locked.h5")
    (line,) = machine.log("probe.service")
    return line


def test_every_attempt_is_judged(outcomes: dict[str, str]) -> None:
    assert sorted(outcomes) == sorted([*ALLOWED.strip().splitlines(), *DENIED])


@pytest.mark.parametrize("attempt", ALLOWED.strip().splitlines())
def test_it_may(attempt: str, outcomes: dict[str, str]) -> None:
    assert outcomes[attempt] == "allowed"


@pytest.mark.parametrize("attempt", DENIED)
def test_it_may_not(attempt: str, outcomes: dict[str, str]) -> None:
    assert outcomes[attempt] == DENIED[attempt]


@pytest.mark.long
def test_tensorflow_opens_a_model_and_compiles_it(machine: Machine) -> None:
    machine.run("systemctl", "start", "tensorflow", check=False)
    said = machine.run("journalctl", "-q", "-o", "cat", "_SYSTEMD_UNIT=tensorflow.service").stdout
    assert said.splitlines()[-1] == "(1, 1)", said


# One's own


def test_a_user_runs_it_by_a_systemd_of_ones_own(machine: Machine) -> None:
    machine.run(
        "systemd-run", "--unit=manager", "--uid=trainer", "-p", "Type=notify", "-p", "Delegate=yes",
        *(f"--setenv={one}" for one in OWN), "/lib/systemd/systemd", "--user",
    )  # fmt: skip
    for verb in ("start", "reload", "is-active", "stop"):
        machine.run("env", *OWN, "systemctl", "--user", verb, "watcherd", user="trainer")
    machine.systemctl("stop", "manager")
    assert (machine.srv / "own/.watcherd/registry.db").is_file()

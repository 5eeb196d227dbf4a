"""A machine of the tests' own: a real systemd in namespaces, with the service installed in it."""

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.conftest import Saved, on_disk, wait_until

HOUSE = Path(__file__).parents[1]
UNITS = HOUSE / "systemd"
SYSTEM = UNITS / "watcherd.service"
TEMPLATE = UNITS / "watcherd@.service"
USER = UNITS / "user" / "watcherd.service"
BENCH = HOUSE / "tests" / "systemd-bench.sh"
PROBE = HOUSE / "tests" / "systemd_probe.py"

WATCHERD = "/opt/watcherd/bin/watcherd"
PYTHON = "/opt/watcherd/bin/python"

AGENT = """
import json, subprocess, sys
print("ready", flush=True)
for line in sys.stdin:
    words = json.loads(line)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""
"""Runs inside: a command a line, and what became of it."""

CLEAN = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")


@dataclass
class Machine:
    """A booted systemd with the service installed as docs/systemd.md says; not yet started."""

    agent: "subprocess.Popen[str]"
    srv: Path
    """Its ``/srv``, as seen from here."""
    etc: Path
    """Its ``/etc/watcherd``."""

    @property
    def models(self) -> Path:
        return self.srv / "models"

    def run(
        self, *words: str, user: str = "root", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root or as another user with umask 002."""
        if user != "root":
            become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")
            words = (*become, "sh", "-c", 'umask 002; exec "$@"', "sh", *words)
        assert self.agent.stdin is not None
        assert self.agent.stdout is not None
        print(json.dumps([*CLEAN, *words]), file=self.agent.stdin, flush=True)
        done = subprocess.CompletedProcess(words, *json.loads(self.agent.stdout.readline()))
        if check and done.returncode:
            raise AssertionError(f"{words}: {done}")
        return done

    def systemctl(self, *words: str) -> str:
        return self.run("systemctl", *words).stdout

    def property(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def log(self, unit: str = "watcherd.service") -> list[dict[str, Any]]:
        """What the service itself has written since the machine was booted, line by line."""
        self.run("journalctl", "--sync")
        text = self.run("journalctl", "-q", "-o", "cat", f"_SYSTEMD_UNIT={unit}").stdout
        return [json.loads(line) for line in text.splitlines()]

    def events(self, name: str, unit: str = "watcherd.service") -> list[dict[str, Any]]:
        return [line for line in self.log(unit) if line["event"] == name]

    def wait_for(self, name: str, count: int = 1, unit: str = "watcherd.service") -> dict[str, Any]:
        """The newest line of an event, when there are so many."""
        wait_until(lambda: len(self.events(name, unit)) >= count, 20, 0.1)
        return self.events(name, unit)[-1]

    def wait_until_registered(self, path: str, below: str = "") -> None:
        wait_until(lambda: path in on_disk(self.models / below), 20, 0.1)

    def save(self, path: str, staged: str = "model.h5") -> None:
        """Save a model below ``/srv/models``, as a trainer does."""
        place = Path("/srv/models", path)
        self.run("mkdir", "-p", str(place.parent), user="trainer")
        self.run("cp", f"/srv/staged/{staged}", str(place), user="trainer")

    def save_checkpoint(self, prefix: str) -> None:
        for suffix in (".data-00000-of-00001", ".index"):
            self.save(prefix + suffix, f"ckpt{suffix}")

    def configure(self, text: str, name: str = "config") -> None:
        (self.etc / f"{name}.toml").write_text(text, encoding="utf-8")


SETTINGS = """
[models]
root = "/srv/models{below}"
[watch]
settle = "200ms"
[schedule]
prune = "500ms"
[retention]
min_age = "0s"
[[retention.rule]]
match = {{ type = "PRUNED" }}
max_to_keep = 1
"""

QUICK = "[Service]\nRestartSec=100ms\n"
HASTY = QUICK + "WatchdogSec=5s\n"
PROBING = """[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecReload=
ExecStart=
ExecStart={python} {script}
RuntimeDirectory=
RuntimeDirectory=probe
WorkingDirectory=/run/probe
"""

TENSORFLOW = """
import keras, numpy
model = keras.models.load_model("/srv/staged/model.h5", compile=False)
model.compile("adam", "mse", jit_compile=True)
print(model.predict(numpy.zeros((1, 24, 5)), verbose=0).shape)
"""
"""Machine code made as it runs, by oneDNN and by XLA."""

SETUP = """set -e
cat >/etc/sysusers.d/zz-trainers.conf <<'END'
u trainer -
m trainer models
u reader -
END
systemd-sysusers 2>/dev/null
chmod o+x {ways}
install -d -m 777 /var/open /home/open
install -d -o trainer /run/trainer
chown -R trainer /home/trainer /srv/own
chgrp models /srv/models
chmod 2775 /srv/models
"""
"""Users: one in the group, and one whom nobody knows; folders that only the unit closes to all."""

SCRIPT = f"""#!{PYTHON}
from watcherd.cli import main
if __name__ == "__main__":  # the children import it, too
    main()
"""


def install(folder: Path) -> Path:
    """The program as ``pip install`` leaves it in /opt/watcherd; what it needs comes from here.

    The interpreter is the one below this environment, which root may have to itself: see ``ways``.
    """
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = folder / "lib" / version / "site-packages"
    shutil.copytree(HOUSE / "watcherd", site / "watcherd")
    (site / "needs.pth").write_text("/opt/site-packages\n")
    base = Path(sys.base_prefix, "bin", version).resolve()
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(base)
    (folder / "bin/watcherd").write_text(SCRIPT)
    (folder / "bin/watcherd").chmod(0o755)
    return folder


def ways(folder: Path) -> str:
    """What is above an interpreter: root's home would hide it from the service's user."""
    return " ".join(f"'{above}'" for above in folder.resolve().parents)


def write_units(folder: Path) -> Path:
    """/etc/systemd/system: the units as they are, what the tests hurry, and the probe."""
    folder.mkdir()
    for unit in (SYSTEM, TEMPLATE):
        shutil.copy(unit, folder)
    for probe in ("probe", "tensorflow"):
        shutil.copy(SYSTEM, folder / f"{probe}.service")
    dropins = {
        "watcherd.service": QUICK,
        "watcherd@.service": QUICK,
        "watcherd@btc.service": HASTY,
        "probe.service": PROBING.format(python=PYTHON, script="/opt/probe.py"),
        "tensorflow.service": PROBING.format(python=PYTHON, script="/srv/staged/compile.py"),
    }
    for unit_name, text in dropins.items():
        (folder / f"{unit_name}.d").mkdir()
        (folder / f"{unit_name}.d" / "test.conf").write_text(text)
    return folder


def write_home(folder: Path) -> Path:
    """The home of one who runs it without root."""
    settings = folder / ".config/watcherd/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[models]\nroot = "/srv/own"\n')
    unit = folder / ".config/systemd/user/watcherd.service"
    unit.parent.mkdir(parents=True)
    shutil.copy(USER, unit)
    (folder / ".local/share").mkdir(parents=True)
    (folder / ".local/share/watcherd").symlink_to("/opt/watcherd")
    return folder


def settle_in(folder: Path) -> Path:
    """/etc/watcherd."""
    folder.mkdir()
    (folder / "config.toml").write_text(SETTINGS.format(below=""))
    return folder


def stage(folder: Path, saved: Saved) -> Path:
    """/srv: what a trainer saves, and a model that is not ours to write."""
    saved.write_h5(folder / "staged" / "model.h5")
    saved.write_checkpoint(folder / "staged" / "ckpt")
    (folder / "staged" / "compile.py").write_text(TENSORFLOW)
    saved.write_h5(folder / "other" / "model.h5").chmod(0o666)
    (folder / "models").mkdir()
    (folder / "own").mkdir()
    return folder


@contextmanager
def booted(here: Path, saved: Saved) -> Iterator[Machine]:
    """A machine whose disks are in the folder ``here``. Skips where none can be booted."""
    able = subprocess.run([BENCH, "--check"], capture_output=True, text=True)
    if able.returncode:
        pytest.skip(able.stderr.strip())
    with (here / "bench.log").open("w") as said:
        agent = subprocess.Popen(
            command(here, saved), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
            text=True,
        )  # fmt: skip
        assert agent.stdin is not None
        assert agent.stdout is not None
        if agent.stdout.readline() != "ready\n":
            refuse((here / "bench.log").read_text())
        yield Machine(agent, here / "srv", here / "etc")
        agent.stdin.close()
        assert agent.wait(30) == 0, (here / "bench.log").read_text()


def refuse(said: str) -> NoReturn:
    """Nothing was booted: a machine that forbids namespaces is no fault of ours."""
    if "the namespaces could not be made" in said:
        pytest.skip(said)
    pytest.fail(said)


def command(here: Path, saved: Saved) -> list[str]:
    """Boots the machine with what is made for it in ``here``, and runs the agent in it."""
    binds = {stage(here / "srv", saved): "/srv", settle_in(here / "etc"): "/etc/watcherd"}
    shows = {Path(sysconfig.get_path("purelib")): "/opt/site-packages"}
    copies = {
        install(here / "opt"): "/opt/watcherd",
        write_units(here / "system"): "/etc/systemd/system",
        write_home(here / "home"): "/home/trainer",
        UNITS / "sysusers.d" / "watcherd.conf": "/etc/sysusers.d/watcherd.conf",
        PROBE: "/opt/probe.py",
    }
    options = {"--bind": binds, "--show": shows, "--copy": copies}
    places = [
        (option, f"{source}:{place}")
        for option, pairs in options.items()
        for source, place in pairs.items()
    ]
    setup = SETUP.format(ways=ways(Path(sys.base_prefix, "bin")))
    agent = (sys.executable, "-c", AGENT)
    return [str(BENCH), "--setup", setup, *chain.from_iterable(places), "--", *agent]

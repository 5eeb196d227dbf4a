"""Whatever befalls the models root: nothing is called missing, no file is touched, and when it is
back work goes on by itself."""

import fcntl
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import fuse
from tests.conftest import RunningDaemon, Saved, wait_until
from tests.namespace import Namespace, has_namespaces, namespace
from watcherd import status

Start = Callable[..., RunningDaemon]

pytestmark = pytest.mark.skipif(not has_namespaces(), reason="no mount namespaces here")

PROMISED = 5.0
"""Seconds until a root that went is noticed."""

WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root without the power to pass over permissions is an ordinary user to the file system."""


@dataclass
class Place:
    """A models root at ``root``, of which ``real`` is the folder that holds the files."""

    folder: Path
    within: Namespace
    stack: ExitStack
    root: Path = field(init=False)
    real: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root, self.real = self.folder / "models", self.folder / "real"
        self.real.mkdir(parents=True)

    @property
    def aside(self) -> Path:
        return self.folder / "aside"

    @property
    def mood(self) -> Path:
        return self.folder / "mood"

    @property
    def image(self) -> Path:
        return self.folder / "disk.img"


def plainly(place: Place) -> None:
    place.real.rmdir()
    place.real = place.root
    place.root.mkdir()


def mounted(place: Place) -> None:
    place.root.mkdir(exist_ok=True)
    place.within.bind(place.real, place.root)


def unmount(place: Place, *how: str) -> None:
    def is_done() -> bool:  # it is held for a moment whenever it is looked at
        with suppress(AssertionError):
            place.within.run("umount", *how, place.root)
            return True
        return False

    wait_until(is_done, PROMISED)


def unmount_lazily(place: Place) -> None:
    unmount(place, "-l")


def mount_over(place: Place) -> None:
    (place.folder / "empty").mkdir()
    place.within.bind(place.folder / "empty", place.root)


def rename(place: Place) -> None:
    place.root.rename(place.aside)


def rename_back(place: Place) -> None:
    place.aside.rename(place.root)


def remove(place: Place) -> None:
    shutil.copytree(place.root, place.aside)
    place.root.rename(place.folder / "removed")  # at once, as far as anyone can see
    shutil.rmtree(place.folder / "removed")


def replace_by_link(place: Place) -> None:
    rename(place)
    place.root.symlink_to(place.aside)


def replace_link(place: Place) -> None:
    place.root.unlink()
    rename_back(place)


def forbid(place: Place) -> None:
    place.root.chmod(0)


def permit(place: Place) -> None:
    place.root.chmod(0o755)


def shown_by_fuse(place: Place) -> None:
    place.root.mkdir()
    place.mood.write_text("well")
    show(place.stack, place.within, place.real, place.root, place.mood)


def show(stack: ExitStack, within: Namespace, real: Path, root: Path, mood: Path) -> None:
    """Mount our own file system for as long as the stack stands."""
    server = stack.enter_context(
        subprocess.Popen(
            [*within.enter, sys.executable, fuse.__file__, str(real), str(root), str(mood)],
            stdout=subprocess.PIPE,
        )
    )
    stack.callback(server.kill)
    assert server.stdout is not None
    assert server.stdout.readline() == b"mounted\n"


def fail(place: Place) -> None:
    place.mood.write_text("fail")


def mend(place: Place) -> None:
    place.mood.write_text("well")


def on_a_disk(place: Place) -> None:
    place.root.mkdir()
    place.image.write_bytes(b"")
    os.truncate(place.image, 16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", place.image], check=True)
    place.within.run("mount", "-o", "loop", place.image, place.root)
    place.real = place.within.seen(place.root)


SHUT_DOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN: from then on the file system answers with I/O errors, as on a dead disk."""


def shut_down(place: Place) -> None:
    root_fd = os.open(place.real, os.O_RDONLY)
    fcntl.ioctl(root_fd, SHUT_DOWN, struct.pack("I", 0))
    os.close(root_fd)


def mount_disk(place: Place) -> None:
    unmount(place, "-l")
    wait_until(lambda: str(place.image) not in place.within.run("losetup", "-a"), PROMISED)
    place.within.run("mount", "-o", "loop", place.image, place.root)


class Scene(NamedTuple):
    """What happens to a root, and how it comes back."""

    before: Callable[[Place], None]
    fault: Callable[[Place], None]
    remedy: Callable[[Place], None]
    has_registry: bool = False
    """The registry is below the root, and goes with it."""
    as_user: bool = False


SCENES = {
    "unmounted": Scene(mounted, unmount, mounted),
    "lazily unmounted": Scene(mounted, unmount_lazily, mounted),
    "lazily unmounted with its registry": Scene(
        mounted, unmount_lazily, mounted, has_registry=True
    ),
    "an empty folder mounted over it": Scene(mounted, mount_over, unmount),
    "renamed": Scene(plainly, rename, rename_back),
    "renamed with its registry": Scene(plainly, rename, rename_back, has_registry=True),
    "removed": Scene(plainly, remove, rename_back),
    "replaced by a symlink": Scene(plainly, replace_by_link, replace_link),
    "forbidden": Scene(plainly, forbid, permit, as_user=True),
    "I/O errors": Scene(shown_by_fuse, fail, mend),
    "a disk that died": Scene(on_a_disk, shut_down, mount_disk),
}
ORDINARY = {
    "lazily unmounted with its registry",
    "an empty folder mounted over it",
    "renamed",
    "forbidden",
    "I/O errors",
}
"""The others take as long again."""

IMPOSSIBLE = {
    "I/O errors": not os.access("/dev/fuse", os.W_OK),
    "a disk that died": not (os.access("/dev/loop-control", os.W_OK) and os.geteuid() == 0),
}


class Outcome(NamedTuple):
    """What became of a scene."""

    is_prompt: bool
    """Suspended within the time that is promised."""
    suspended: int
    """How often that was said."""
    verbs: list[str]
    """All that the history tells."""
    is_untouched: bool


def facts(root: Path) -> dict[str, tuple[int, int]]:
    """Every file of a models root that is not ours: size and mtime."""
    return {
        os.path.relpath(os.path.join(folder, name), root): (found.st_size, found.st_mtime_ns)
        for folder, _, names in os.walk(root)
        if ".watcherd" not in folder
        for name in names
        for found in [os.lstat(os.path.join(folder, name))]
    }


def history(registry: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{registry}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute("SELECT verb FROM history ORDER BY history_id")
        return [verb for (verb,) in rows]


def play(
    scene: Scene, place: Place, daemon: RunningDaemon, registry: Path, saved: Saved
) -> Outcome:
    wait_until(lambda: len(daemon.events("model.registered")) == 2, 40)
    before = facts(place.real)
    began = time.monotonic()
    scene.fault(place)
    daemon.wait_for("root.suspended")
    took = time.monotonic() - began
    scene.remedy(place)
    daemon.wait_for("root.resumed")
    after = facts(place.real)
    saved.write_h5(place.real / "1h/BTC/LSTM/later.h5", 1)
    wait_until(lambda: len(daemon.events("model.registered")) == 3, 40)
    daemon.stop()
    suspended = len(daemon.events("root.suspended"))
    return Outcome(took <= PROMISED, suspended, history(registry), before == after)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(sorted(ORDINARY), id="ordinary"),
        pytest.param(sorted(SCENES.keys() - ORDINARY), id="rarer", marks=pytest.mark.long),
    ],
)
def test_no_fault_of_the_root_costs_a_model(
    tmp_path: Path, start_daemon: Start, saved: Saved, stack: ExitStack, names: list[str]
) -> None:
    """All at once, as each one mostly waits."""
    runs = {}
    for number, name in enumerate(name for name in names if not IMPOSSIBLE.get(name)):
        scene = SCENES[name]
        place = Place(tmp_path / str(number), stack.enter_context(namespace()), stack)
        scene.before(place)
        saved.write_h5(place.real / "1h/BTC/LSTM/a.h5")
        saved.write_checkpoint(place.real / "1h/BTC/LSTM/ckpt-1")
        registry = place.real / ".watcherd" if scene.has_registry else place.folder
        url = f"sqlite:///{place.folder}/registry.db"
        daemon = start_daemon(
            place.root,
            *(() if scene.has_registry else ("--registry", url)),
            within=(*place.within.enter, *(WITHOUT_PRIVILEGE if scene.as_user else ())),
            settings='[watch]\nsettle = "500ms"\npoll = "1s"\n',
            ready=False,
        )
        runs[name] = (scene, place, daemon, registry / "registry.db", saved)
    with ThreadPoolExecutor(len(runs)) as pool:
        ends = {name: pool.submit(play, *run) for name, run in runs.items()}
    outcomes = {name: end.result() for name, end in ends.items()}
    assert outcomes == dict.fromkeys(runs, Outcome(True, 1, ["registered"] * 3, True))


def test_a_folder_below_that_was_a_mount_and_is_none_hides_its_models_until_it_is_back(
    tmp_path: Path, start_daemon: Start, saved: Saved, root: Path, stack: ExitStack
) -> None:
    within = stack.enter_context(namespace())
    real, mount = tmp_path / "real", root / "4h"
    mount.mkdir()
    saved.write_h5(real / "ETH/LSTM/a.h5")
    saved.write_h5(root / "1h/BTC/LSTM/a.h5", 1)
    within.bind(real, mount)
    daemon = start_daemon(root, within=within.enter, settings='[watch]\nsettle = "200ms"\n')
    wait_until(lambda: len(daemon.events("model.registered")) == 2, 20)
    within.run("umount", mount)
    said = root / ".watcherd" / status.NAME
    wait_until(lambda: json.loads(said.read_text())["blind"].keys() == {"4h"}, 10)
    within.bind(real, mount)
    saved.write_h5(real / "ETH/LSTM/b.h5", 2)
    wait_until(lambda: len(daemon.events("model.registered")) == 3, 10)
    saved.write_h5(real / "ETH/LSTM/c.h5", 3)
    wait_until(lambda: len(daemon.events("model.registered")) == 4, 10)
    assert history(root / ".watcherd/registry.db") == ["registered"] * 4

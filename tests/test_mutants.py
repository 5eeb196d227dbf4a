"""Files that real ones were damaged into: each ends as a row with a state, at little cost."""

import os
import random
from pathlib import Path

import pytest

from tests.conftest import Saved
from watcherd.config import load
from watcherd.reconciler import Reconciler
from watcherd.scope import ROOT, Cause, Request
from watcherd.wiring import reconciling

LIKELY = 1_000
ALL = 10_000
GROWTH = 30_000_000
"""Bytes that the parent may grow by: whatever a file is, it is read elsewhere."""


def _flip(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] = chance.randrange(256)


def _splash(content: bytearray, chance: random.Random) -> None:
    """Sixteen bytes of nothing, of everything, or of a large number."""
    place = chance.randrange(len(content))
    content[place : place + 16] = chance.choice([bytes(16), b"\xff" * 16, b"\x00\xff" * 8])


def _cut(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def _swap(content: bytearray, chance: random.Random) -> None:
    """Two pages in each other's place, as a disk that lies may leave them."""
    one, other = (chance.randrange(max(len(content) // 512, 1)) * 512 for _ in range(2))
    pages = content[one : one + 512], content[other : other + 512]
    if len(pages[0]) == len(pages[1]):
        content[one : one + 512], content[other : other + 512] = pages[1], pages[0]


DAMAGE = (_flip, _flip, _splash, _cut, _swap)


def mutant(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        if changed:
            chance.choice(DAMAGE)(changed, chance)
    return bytes(changed)


def write_mutants(root: Path, count: int, saved: Saved, keras_file: bytes) -> int:
    """So many damaged models below a root, a third of each kind; returns how many."""
    chance = random.Random(count)
    checkpoint = saved.checkpoints[0]
    for number in range(count):
        folder = root / f"1h/T{number // 100}/LSTM"
        folder.mkdir(parents=True, exist_ok=True)
        match number % 3:
            case 0:
                content = chance.choice([saved.h5[0], saved.weights[0]])
                (folder / f"m{number}.h5").write_bytes(mutant(content, chance))
            case 1:
                saved.write_checkpoint(folder / f"ckpt-{number}")
                index = folder / f"ckpt-{number}.index"
                index.write_bytes(mutant(checkpoint[".index"], chance))
            case _:
                (folder / f"m{number}.keras").write_bytes(mutant(keras_file, chance))
    return count


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    import keras

    path = tmp_path_factory.mktemp("keras") / "m.keras"
    keras.Sequential([keras.layers.Input((4, 2)), keras.layers.LSTM(2)]).save(path)
    return path.read_bytes()


def resident() -> int:
    """Bytes of this process in memory (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def reconcile_whole(reconciler: Reconciler) -> None:
    """As often as what changed while it was read, or killed its child, needs."""
    while reconciler.cycle(Request(ROOT, Cause.REQUEST)).unfinished:
        pass


@pytest.mark.parametrize("count", [LIKELY, pytest.param(ALL, marks=pytest.mark.long)])
def test_every_mutant_ends_as_a_state_and_costs_the_parent_nothing(
    count: int, root: Path, saved: Saved, keras_file: bytes
) -> None:
    settings = load(root=root, environ={})
    with reconciling(settings, "test") as reconciler:
        reconciler.settle = 0.0
        saved.write_h5(root / "1h/BTC/LSTM/whole.h5")
        reconcile_whole(reconciler)  # imports and children are there
        before = resident()
        written = write_mutants(root, count, saved, keras_file)
        reconcile_whole(reconciler)
        grown = resident() - before
        states = reconciler.registry.states()
    assert sum(states.values()) == written + 1
    assert set(states) <= {"present", "incomplete", "unreadable"}
    assert states["unreadable"] > count / 10
    assert states["incomplete"] > count / 10
    print(f"{count} mutants: {states}, the parent grew by {grown / 1e6:.1f} MB")
    assert grown < GROWTH

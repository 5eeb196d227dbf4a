"""``make demo``: the daemon on a fresh models root, and a small real training job beside it.

Lasts about fifty seconds and ends by itself; Ctrl-C ends both at any time.
"""
# ruff: noqa: E402 - Ctrl-C during the imports shall end this without a traceback

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
MODELS = HERE / "models"
CONFIG = MODELS / "demo.toml"
WATCHERD = str(Path(sys.executable).with_name("watcherd"))

SETTINGS = """\
# Settings of `make demo`: everything soon. config.example.toml explains every key.
[models]
root = "."              # a relative path counts from this file's folder

[watch]
settle = "1s"

[schedule]
reconcile = "20s"
prune = "5s"

[retention]
trash_for = "1h"
min_free_space = "0B"   # the default would purge early on a disk with less than 20 GB free
min_age = "2s"

[[retention.rule]]
match = { format = "checkpoint" }
max_to_keep = 3         # of each training's checkpoints; .h5 files have no rule and stay

[log]
format = "console"
"""

LOOK = 0.1
"""Seconds between two looks at the processes."""
GRACE = 10.0
"""Seconds that a process gets to end in an orderly way."""


def main() -> int:
    """Run the demo; returns its exit status."""
    stop = threading.Event()
    # A flag instead of KeyboardInterrupt: whenever it comes, every process started is also ended.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if refusal := why_not(MODELS):
        print(f"demo: {refusal}", file=sys.stderr)
        return 1
    make_fresh(MODELS)
    say(
        "The daemon watches [bold]demo/models[/], and a training job saves models there. Lines "
        "with a time are the daemon's,\nthose marked [reverse cyan] trainer [/] are the job's; "
        "neither knows of the other. About 50 seconds; Ctrl-C ends both.\n"
    )
    status = watch_training(stop)
    if status == 0:
        show_registry(stop)
    return status


def why_not(models: Path) -> str | None:
    """Why the folder must not be removed: it is not this demo's, or a demo works in it."""
    if models.exists() and not CONFIG.exists():
        return f"{models} was not made by the demo; move it elsewhere, then try again"
    if CONFIG.exists() and '"running": true' in ask("--json", "status").stdout:
        return "another demo is running; wait until it has ended"
    return None


def make_fresh(models: Path) -> None:
    """An empty models root with the demo's settings."""
    if models.exists():
        shutil.rmtree(models)
    models.mkdir()
    CONFIG.write_text(SETTINGS)


def watch_training(stop: threading.Event) -> int:
    """Let the daemon watch the training job from its first line to its last."""
    with tempfile.TemporaryFile("w+") as noise, running([WATCHERD, "run"]) as daemon:
        # TensorFlow talks a lot on standard error; it is shown only if the job fails.
        with running([sys.executable, str(HERE / "train.py"), str(MODELS)], noise) as trainer:
            while trainer.poll() is None and daemon.poll() is None and not stop.wait(LOOK):
                pass
            outcome = trainer.poll()
        if stop.is_set():
            return 0
        if outcome == 0 and daemon.poll() is None:
            ask("status", "--wait", "10")
            return 0
        noise.seek(0)
        print(noise.read() if outcome else "demo: the daemon ended", file=sys.stderr)
        return 1


def show_registry(stop: threading.Event) -> None:
    """What the registry knows in the end, and what a newcomer may type next."""
    for words in ("list", "history --limit 15", "prune --dry-run"):
        if stop.is_set():
            return
        say(f"\n[bold]$ watcherd {words}[/]")
        with running([WATCHERD, *words.split()]) as command:
            while command.poll() is None and not stop.wait(LOOK):
                pass
    say(
        "\n[bold]Type next[/]\n"
        "  export WATCHERD_CONFIG=demo/models/demo.toml PATH=$PWD/.venv/bin:$PATH\n"
        "  watcherd show 1h/BTCUSDT/LSTM/lstm.h5      [dim]everything known of one model[/]\n"
        "  watcherd list --state trashed              [dim]what was pruned[/]\n"
        "  watcherd restore 1h/BTCUSDT/LSTM/ckpt-1    [dim]and how it comes back[/]\n"
        "  watcherd run                               "
        "[dim]the daemon again; then save, move and delete models there[/]\n"
        "[dim]README.md tells the rest; make run watches ./models.[/]"
    )


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    """One command of the program, to its end."""
    return subprocess.run(
        [WATCHERD, *words], capture_output=True, text=True, check=False, env=surroundings()
    )


@contextmanager
def running(
    command: Sequence[str], errors: IO[str] | None = None
) -> Iterator["subprocess.Popen[Any]"]:
    """A process that is ended with the block.

    In a process group of its own, so that Ctrl-C on the terminal reaches this process alone.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=errors, env=surroundings(), process_group=0
    )
    try:
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[Any]") -> None:
    """Ask it to end; make it, where it doesn't."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def surroundings() -> Mapping[str, str]:
    """The environment of both processes."""
    return {**os.environ, "WATCHERD_CONFIG": str(CONFIG)}


def say(text: str) -> None:
    """The demo's own voice."""
    from rich.console import Console

    Console(highlight=False).print(text, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())

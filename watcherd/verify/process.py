"""The process that opens models: started when it is needed, bounded, and idle beside any other."""

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcherd.child import Broken, make_idle
from watcherd.errors import VerifyError
from watcherd.proof import MARK

SECONDS = 60
"""Of processor time for one model, ..."""

BYTES_PER_SECOND = 10_000_000
"""... and one more for each so many of its bytes."""

MEMORY = 1 << 30
"""Bytes that TensorFlow may take for one model beside what it holds already, ..."""

COPIES = 4
"""... and so many times the size of the model's files: as read, as built, as loaded."""

PATIENCE = 1800.0
"""Seconds for one model, or to import TensorFlow: at nice 19 beside busy trainers a second of the
processor's time may take a minute."""

ENDING = 2.0
"""Seconds that the end of a killed process is waited for."""

_SCRIPT = Path(__file__).with_name("opener.py")

_SURROUNDINGS = {
    # HDF5's own lock, taken by a reader, makes a trainer's save fail and destroys its model.
    "HDF5_USE_FILE_LOCKING": "FALSE",
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    # oneDNN writes machine code as it runs, which a hardened service may not.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONDONTWRITEBYTECODE": "1",
    MARK: "1",
    **dict.fromkeys(
        (
            "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS",
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
        ),
        "1",
    ),
}


@dataclass(frozen=True, slots=True)
class Died(Broken):
    """A question that its process did not survive."""

    is_no_proof: bool = False
    """It was killed, stopped or starved, or short of memory, which says nothing about the model."""


class Opener:
    """A process that opens models with TensorFlow, one question at a time, for one thread.

    ``python`` is the interpreter, ours where it is empty; ``objects`` are the ``module:Name`` that
    it imports first. ``seconds`` of processor time, ``memory`` in bytes (what the size of a model
    adds to them is above) and ``patience`` in seconds bound each question.
    """

    def __init__(
        self,
        python: str = "",
        objects: Sequence[str] = (),
        *,
        seconds: int = SECONDS,
        memory: int = MEMORY,
        patience: float = PATIENCE,
    ) -> None:
        self.judge = ""
        """Which TensorFlow and Keras it has, once it runs."""
        self._command = [os.path.expanduser(python) or sys.executable, str(_SCRIPT), *objects]
        self._seconds = seconds
        self._memory = memory
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._starting = threading.Lock()
        self._is_stopped = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    def ask(self, question: Mapping[str, Any], size_bytes: int) -> dict[str, Any] | Died:
        """The answer to one question (see ``opener.py``), or how the process ended over it.

        Raises VerifyError where no process with TensorFlow can be had.
        """
        process = self._process or self._start()
        seconds = self._seconds + size_bytes // BYTES_PER_SECOND
        bounds = {"seconds": seconds, "bytes": self._memory + COPIES * size_bytes}
        assert process.stdin is not None  # a pipe, see _start
        # Where it has ended meanwhile, there is no answer to be read, either.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps({**question, **bounds}).encode() + b"\n")
        line = self._read_line(process)
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        if line is None:
            self.end()
            # What spins is ended by its processor time: this one had none, or waited.
            why = f"TensorFlow did not answer within {self._patience:g} s: stopped, or starved"
            return Died(why, True, is_no_proof=True)
        return self._bury(process, seconds)

    def end(self) -> None:
        """End the process, at once; the next question starts another."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def stop(self) -> None:
        """Break off: no question is answered any more. In any thread, while another asks."""
        with self._starting:
            self._is_stopped = True
            process = self._process
        if process is not None:
            _kill(process)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._is_stopped:
                raise VerifyError("the verification was broken off")
            process = self._process = self._spawn()
        self._rest = b""
        line = self._read_line(process)
        silent = "its process died of it" if line == b"" else f"not within {self._patience:g} s"
        said = json.loads(line) if line else {"error": silent}
        if "error" in said:
            self.end()
            raise VerifyError(
                f"{self._command[0]} cannot import what verifying needs: {said['error']}",
                hint="name an interpreter that has TensorFlow in verify.python; what"
                " verify.custom_objects names must be installed there, or be found by PYTHONPATH",
            )
        self.judge = said["judge"]
        return process

    def _spawn(self) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **_SURROUNDINGS},
                start_new_session=True,  # Ctrl-C is for us; its end is our business
            )
        except OSError as error:
            raise VerifyError(
                f"{self._command[0]} cannot be run: {error.strerror}",
                hint="name an interpreter that has TensorFlow in verify.python",
            ) from None
        _step_back(process.pid)
        return process

    def _read_line(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """Empty where it ended, None where it took too long."""
        assert process.stdout is not None  # a pipe, see _spawn
        give_up = time.monotonic() + self._patience
        while b"\n" not in self._rest:
            left = max(give_up - time.monotonic(), 0.0)
            ready, _, _ = select.select([process.stdout], [], [], left)
            if not ready:
                return None
            content = os.read(process.stdout.fileno(), 65536)
            if not content:
                return b""
            self._rest += content
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _bury(self, process: subprocess.Popen[bytes], seconds: int) -> Died:
        """How it ended, of a process that said nothing more."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDING)
        status = process.returncode or 0
        self.end()
        if status == -signal.SIGXCPU:
            return Died(f"TensorFlow took more than {seconds} s of the processor's time", True)
        if status in _SHORT_OF_MEMORY:
            return Died(_SHORT_OF_MEMORY[status], True, is_no_proof=True)
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return Died(f"TensorFlow's process died of it ({name})", True)


_SHORT_OF_MEMORY = {
    -signal.SIGKILL: "TensorFlow's process was killed over it, mostly for want of memory",
    # Where C++ gets no memory it throws std::bad_alloc, which nobody there catches.
    -signal.SIGABRT: "TensorFlow gave up over it (SIGABRT), mostly for want of memory",
}


def _step_back(pid: int) -> None:
    """Let the process give way to every other. It may end at any moment."""
    make_idle(pid)
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    # Address space cannot be bounded, of which TensorFlow reserves more than it uses; its private
    # writable memory is, by the script (RLIMIT_DATA). Where memory is short all the same, this is
    # what the kernel shall end first (proc_pid_oom_score_adj(5)).
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it started. It only reads: nothing is lost by it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

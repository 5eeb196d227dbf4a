"""A file system that shows a folder, and fails or hangs when told to.

It is run by ``python fuse.py SOURCE PLACE MOOD``, and may only be read. Others may write in the
folder behind it, as on a network file system: no event tells of that. MOOD is a file; while it says
``fail`` every request ends with an I/O error, while it says ``hang`` none does. The kernel's side
is described in fuse(4) and linux/fuse.h; the least of it is spoken here.
"""

import ctypes
import errno
import os
import select
import stat
import struct
import sys
import time
from contextlib import suppress
from enum import IntEnum
from pathlib import Path


class Code(IntEnum):
    """What the kernel may ask for, of which we answer these."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    BATCH_FORGET = 42


SILENT = (Code.FORGET, Code.BATCH_FORGET, Code.INTERRUPT)
"""Requests that want no answer."""

HEAD = struct.Struct("<IIQQIIIHH")
ATTRIBUTES = struct.Struct("<6Q10I")


class Shown:
    """The folder that is shown: nodes by number, the root being 1."""

    def __init__(self, source: str) -> None:
        self.paths = {1: source}
        self.numbers = {source: 1}

    def node(self, path: str) -> int:
        number = self.numbers.setdefault(path, len(self.numbers) + 1)
        self.paths[number] = path
        return number

    def answer(self, code: int, node: int, body: bytes) -> bytes:
        """What the kernel asked for. Raises OSError."""
        path = self.paths.get(node, "")
        match code:
            case Code.INIT:
                return struct.pack("<IIIIHHIIHHII24x", 7, 31, 65536, 0, 8, 8, 65536, 1, 0, 0, 0, 0)
            case Code.LOOKUP:
                found = os.path.join(path, os.fsdecode(body.rstrip(b"\0")))
                fact = attributes(os.lstat(found))
                return struct.pack("<4Q2I", self.node(found), 0, 0, 0, 0, 0) + fact
            case Code.GETATTR:
                return struct.pack("<QII", 0, 0, 0) + attributes(os.lstat(path))
            case Code.OPEN | Code.OPENDIR:
                return struct.pack("<QIi", 0, 0, 0)
            case Code.READDIR:
                return self.entries(path, *struct.unpack_from("<QQI", body)[1:])
            case Code.READ:
                _, offset, size = struct.unpack_from("<QQI", body)
                return Path(path).read_bytes()[offset : offset + size]
            case Code.STATFS:
                return struct.pack("<5Q4I24x", 1000, 500, 500, 1000, 500, 4096, 255, 4096, 0)
            case Code.RELEASE | Code.RELEASEDIR:
                return b""
        raise OSError(errno.ENOSYS, "not spoken here")

    def entries(self, path: str, offset: int, size: int) -> bytes:
        found = b""
        for number, name in enumerate(sorted(os.listdir(path))[offset:], offset + 1):
            mode = os.lstat(os.path.join(path, name)).st_mode
            raw = os.fsencode(name)
            entry = struct.pack("<QQII", 1, number, len(raw), stat.S_IFMT(mode) >> 12) + raw
            entry += b"\0" * (-len(entry) % 8)
            if len(found) + len(entry) > size:
                break
            found += entry
        return found


def attributes(found: os.stat_result) -> bytes:
    times = [found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns]
    return ATTRIBUTES.pack(
        found.st_ino, found.st_size, found.st_blocks, *(one // 10**9 for one in times),
        *(one % 10**9 for one in times), found.st_mode, found.st_nlink, found.st_uid, found.st_gid,
        0, 4096, 0,
    )  # fmt: skip


def reply(channel: int, shown: Shown, request: bytes) -> None:
    _, code, unique, node, *_ = HEAD.unpack_from(request)
    if code in SILENT:
        return
    try:
        if mood() == "fail":
            raise OSError(errno.EIO, "told to")
        content, error = shown.answer(code, node, request[HEAD.size :]), 0
    except OSError as failure:
        content, error = b"", failure.errno or errno.EIO
    os.write(channel, struct.pack("<IiQ", 16 + len(content), -error, unique) + content)


def mood() -> str:
    return Path(sys.argv[3]).read_text().strip()


def main() -> None:
    source, place = sys.argv[1:3]
    channel = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"shown", os.fsencode(place), b"fuse", 0, options.encode()):
        sys.exit(os.strerror(ctypes.get_errno()))
    shown = Shown(source)
    print("mounted", flush=True)
    with suppress(OSError):  # ENODEV: it is unmounted
        serve(channel, shown)


def serve(channel: int, shown: Shown) -> None:
    while True:
        # Who waits for a request that was read can't even be killed: none is read while it hangs.
        if mood() == "hang":
            time.sleep(0.05)
        elif select.select([channel], [], [], 0.05)[0]:
            reply(channel, shown, os.read(channel, 1 << 17))


if __name__ == "__main__":
    main()

"""Telling systemd how we are: sd_notify(3), which is one datagram."""

import os
import socket

PATIENCE = 1.0
"""Seconds for a manager that does not read what it is told: its queue holds a few messages."""


def notify(**states: object) -> None:
    """Send states such as ``READY=1``; does nothing outside of systemd.

    A manager that does not listen is no reason to fail: the service goes on.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    message = "\n".join(f"{key}={value}" for key, value in states.items())
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket, unix(7)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(PATIENCE)
            channel.connect(address)
            channel.sendall(message.encode())
    except OSError:
        return

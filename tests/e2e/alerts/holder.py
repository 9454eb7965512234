"""Runs in a pod: opens connections to a Valkey with its Secret's password, and holds them. It needs only Python."""

from __future__ import annotations

import os
import socket
import sys
import time

HELD = 200
PATIENCE_SECONDS = 5
PING_SECONDS = 10


def connection(address: tuple[str, int], password: str) -> socket.socket:
    """Connect and log in; again and again, because nodes have yet to learn of this pod's address."""
    while True:
        try:
            opened = socket.create_connection(address, timeout=PATIENCE_SECONDS)
        except OSError:
            time.sleep(1)
            continue
        ask(opened, f"AUTH {password}")
        return opened


def ask(opened: socket.socket, command: str) -> None:
    opened.sendall(f"{command}\r\n".encode())
    opened.recv(256)


def main() -> None:
    address = (os.environ["VALKEY_HOST"], 6379)
    held = [connection(address, os.environ["REDIS_PASSWORD"]) for _ in range(HELD)]
    sys.stdout.write("held\n")
    sys.stdout.flush()
    while True:
        time.sleep(PING_SECONDS)
        for each in held:
            ask(each, "PING")


if __name__ == "__main__":
    main()

"""Runs in a pod: writes a new key about every 2 ms through a storage's Service, and remembers the acknowledged ones.

It reads the password anew for each connection. Every second it prints its progress. On SIGTERM it asks the primary for
every acknowledged key, deletes its keys, and prints its verdict as one line. Times are those of the monotonic clock,
which all namespaces of a machine share, so that the program that inflicts a fault can compare them with its own.
"""

from __future__ import annotations

import heapq
import os
import signal
import socket
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

from tests.chaos.wire import LOCKED_OUT, PORT, Connection, Refused, kind_of, mounted_password, print_json

T = TypeVar("T")

PACE_SECONDS = 0.002
REPORT_SECONDS = 1.0
GAPS_TOLD = 20
BATCH = 500
VERDICT_SECONDS = 60
RETRY_SECONDS = 0.1
RECONNECT_AFTER = LOCKED_OUT | {"READONLY"}
"""Errors after which the writer connects anew; go-redis, the library of ToolHive's proxies, does so after READONLY."""


class Journal:
    """Records when each write was acknowledged, and all errors since the first acknowledgement."""

    def __init__(self) -> None:
        self.numbers = array("Q")
        self.times = array("d")
        self.errors: list[tuple[float, str]] = []

    def acknowledge(self, number: int, at: float) -> None:
        self.numbers.append(number)
        self.times.append(at)

    def fail(self, kind: str, at: float) -> None:
        # Until the NetworkPolicy admits the pod's address everywhere, writes fail for a reason that is no fault.
        if self.times:
            self.errors.append((at, kind))

    def gaps(self, end: float) -> list[dict[str, object]]:
        """List the longest times without an acknowledgement, longest first; the time until `end` is one too."""
        longest = heapq.nlargest(GAPS_TOLD, pairwise((*self.times, end)), key=lambda pair: pair[1] - pair[0])
        return [
            {"begun": begun, "seconds": end - begun, "errors": count(self.errors, begun, end)} for begun, end in longest
        ]


class Writer:
    """Writes until it is told to end, and comes to a verdict."""

    def __init__(self, address: tuple[str, int], password: Callable[[], str], prefix: str) -> None:
        self._address = address
        self._password = password
        self._prefix = prefix
        self._connection: Connection | None = None
        self.journal = Journal()
        self.is_ending = False

    def end(self, *_: object) -> None:
        self.is_ending = True

    def run(self) -> None:
        """Write until told to end."""
        number, told = 0, 0.0
        while not self.is_ending:
            number += 1
            try:
                self._connected().ask(("SET", self._key(number), "x"))
                self.journal.acknowledge(number, time.monotonic())
            except (OSError, Refused) as error:
                self.journal.fail(kind_of(error), time.monotonic())
                self._drop_after(error)
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                print_json({"acked": len(self.journal.times)})
            time.sleep(PACE_SECONDS)

    def verdict(self) -> dict[str, object]:
        """Ask the primary for every acknowledged key, and sum up all writes."""
        ended = time.monotonic()
        role, missing = self._retry(self._missing)
        seen = {
            "acked": len(self.journal.times),
            "role": role,
            "lost": [round(self.journal.times[index], 3) for index in missing],
            "gaps": self.journal.gaps(ended),
            "errors": count(self.journal.errors, 0.0, ended),
        }
        self._retry(self._clean)
        self._drop()
        return seen

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._address, self._password())
        return self._connection

    def _drop_after(self, error: Exception) -> None:
        """Drop a connection that is broken or of no use; keep one that answered with another error, as clients do."""
        if not isinstance(error, Refused) or kind_of(error) in RECONNECT_AFTER:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number}"

    def _retry(self, act: Callable[[Connection], T]) -> T:
        """Try until it works, because the storage may still be recovering."""
        deadline = time.monotonic() + VERDICT_SECONDS
        while True:
            try:
                return act(self._connected())
            except (OSError, Refused) as error:
                self._drop()
                if time.monotonic() > deadline:
                    raise SystemExit(f"no verdict within {VERDICT_SECONDS} s: {kind_of(error)}") from error
                time.sleep(RETRY_SECONDS)

    def _missing(self, connection: Connection) -> tuple[str, list[int]]:
        """Return the instance's role, and the journal's indexes of the keys that it does not have."""
        (info,) = connection.ask(("INFO", "replication"))
        missing = [
            index
            for begin, keys in self._batches()
            for index, answer in enumerate(connection.ask(*(("EXISTS", key) for key in keys)), begin)
            if answer == "0"
        ]
        return role_in(info), missing

    def _clean(self, connection: Connection) -> None:
        for _, keys in self._batches():
            connection.ask(("UNLINK", *keys))

    def _batches(self) -> Iterator[tuple[int, list[str]]]:
        numbers = self.journal.numbers
        for begin in range(0, len(numbers), BATCH):
            yield begin, [self._key(number) for number in numbers[begin : begin + BATCH]]


def role_in(info: str) -> str:
    """Find the role in the answer to `INFO replication`."""
    fields = dict(line.partition(":")[::2] for line in info.splitlines())
    return fields.get("role", "")


def count(errors: Iterable[tuple[float, str]], begun: float, end: float) -> dict[str, int]:
    """Count the errors between two times by their kind."""
    return Counter(kind for at, kind in errors if begun <= at <= end)


def main() -> None:
    # The writer resolves the name only once, because it measures the Service and not the cluster's DNS.
    address = (socket.gethostbyname(os.environ["VALKEY_HOST"]), PORT)
    writer = Writer(address, mounted_password, os.environ["KEY_PREFIX"])
    signal.signal(signal.SIGTERM, writer.end)
    writer.run()
    print_json(writer.verdict())


if __name__ == "__main__":
    main()

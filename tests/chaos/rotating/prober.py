"""Runs in a pod: logs in about every 50 ms to each instance of a storage and to its Service, and closes at once.

It tries every password that must work: the one that the connection Secret has now, which it reads from the API server,
and the one in the mounted file, which kubelet may have read earlier. Every second it prints its progress. On SIGTERM it
tries the newest and all former passwords everywhere, and prints its verdict as one line. It never prints a password.
Times are those of the monotonic clock.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.tls import client_context
from tests.chaos.wire import LOCKED_OUT, PORT, Connection, Refused, kind_of, mounted_password, print_json

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVICE = "service"
PACE_SECONDS = 0.05
LOOK_SECONDS = 0.1
LOOK_TIMEOUT_SECONDS = 2.0
PROMISE_SECONDS = 100.0
"""How long, at least, instances still accept a password that the connection Secret no longer has."""
REPORT_SECONDS = 1.0
VERDICT_SECONDS = 60.0
ACCEPTED = "accepted"


class Sight:
    """The passwords and the instances' addresses, as last read from the API server."""

    def __init__(self, service: str) -> None:
        self.addresses = {SERVICE: service}
        self.passwords: list[str] = []
        self._seen_at = 0.0

    def take_in(self, password: str, instances: Mapping[str, str], at: float) -> None:
        if password not in self.passwords:
            self.passwords.append(password)
        self.addresses = {SERVICE: self.addresses[SERVICE], **instances}
        self._seen_at = at

    def promised(self, mounted: str, at: float) -> set[str]:
        """Tell which passwords must work at this time."""
        return {mounted, *(self.passwords[-1:] if at - self._seen_at < PROMISE_SECONDS else ())}


class Tally:
    """Counts the logins at one place: refused ones from the start, all others from the first that works."""

    def __init__(self) -> None:
        self.logins = 0
        self.failures: dict[str, list[float]] = {}

    def count(self, outcome: str, at: float) -> None:
        if outcome == ACCEPTED:
            self.logins += 1
        # Until the NetworkPolicy admits the pod's address everywhere, connections fail for a reason that is no fault.
        elif self.logins or outcome in LOCKED_OUT:
            self.failures.setdefault(outcome, []).append(at)

    def as_json(self, place: str) -> list[dict[str, object]]:
        return [
            {"place": place, "kind": kind, "times": [round(at, 3) for at in times]}
            for kind, times in self.failures.items()
        ]


class ApiReader:
    """Reads the connection Secret and the storage's pods, with the rights of this pod's service account."""

    def __init__(self, storage: str, secret: str) -> None:
        namespace = (ACCOUNT / "namespace").read_text()
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._pods = f"/api/v1/namespaces/{namespace}/pods?labelSelector={storage}"
        self._connection = http.client.HTTPSConnection(
            os.environ["KUBERNETES_SERVICE_HOST"],
            int(os.environ["KUBERNETES_SERVICE_PORT"]),
            timeout=LOOK_TIMEOUT_SECONDS,
            context=client_context(cafile=str(ACCOUNT / "ca.crt")),
        )

    def look(self, sight: Sight) -> bool:
        """Update the sight, and tell whether the API server answered."""
        try:
            secret, pods = self._read(self._secret), self._read(self._pods)
        except (OSError, http.client.HTTPException, LookupError, ValueError):
            self._connection.close()
            return False
        password = base64.b64decode(secret["data"]["REDIS_PASSWORD"]).decode()
        instances = {
            pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in pods["items"]
            if "podIP" in pod["status"] and "deletionTimestamp" not in pod["metadata"]
        }
        sight.take_in(password, instances, time.monotonic())
        return True

    def _read(self, path: str) -> dict[str, Any]:
        token = (ACCOUNT / "token").read_text()
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise LookupError(answer.status)
        found: dict[str, Any] = json.loads(said)
        return found


class Prober:
    """Logs in at every place, in one thread for each, and comes to a verdict."""

    def __init__(self, sight: Sight, look: Callable[[Sight], bool], mounted: Callable[[], str]) -> None:
        self.sight = sight
        self.tallies: dict[str, Tally] = {}
        self._look = look
        self._mounted = mounted
        self._ended = threading.Event()

    def end(self, *_: object) -> None:
        self._ended.set()

    def run(self) -> None:
        """Log in until told to end."""
        threads: list[threading.Thread] = []
        told = 0.0
        while not self._ended.wait(LOOK_SECONDS):
            self._look(self.sight)
            for place in self.sight.addresses.keys() - self.tallies.keys():
                self.tallies[place] = Tally()
                threads.append(threading.Thread(target=self._keep_logging_in, args=(place, self.tallies[place])))
                threads[-1].start()
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                print_json(
                    {"logins": self.logins(), "steady": sum(tally.logins > 0 for tally in self.tallies.values())}
                )
        for thread in threads:
            thread.join()

    def logins(self) -> int:
        return sum(tally.logins for tally in self.tallies.values())

    def verdict(self) -> dict[str, object]:
        """Try all passwords everywhere, and sum up all logins."""
        deadline = time.monotonic() + VERDICT_SECONDS
        while not self._look(self.sight):
            if time.monotonic() > deadline:
                raise SystemExit(f"no verdict within {VERDICT_SECONDS} s: the API server does not answer")
            time.sleep(LOOK_SECONDS)
        *former, newest = self.sight.passwords
        places = self.sight.addresses.items()
        return {
            "logins": self.logins(),
            "failures": [failure for place, tally in self.tallies.items() for failure in tally.as_json(place)],
            "passwords": len(self.sight.passwords),
            "newest": {place: final_outcome(address, newest, deadline) for place, address in places},
            "former": {place: [final_outcome(address, each, deadline) for each in former] for place, address in places},
        }

    def _keep_logging_in(self, place: str, tally: Tally) -> None:
        while not self._ended.wait(PACE_SECONDS):
            address = self.sight.addresses.get(place)
            if address is None:
                continue
            for password in self.sight.promised(self._mounted(), time.monotonic()):
                tally.count(outcome(address, password), time.monotonic())


def outcome(address: str, password: str) -> str:
    """Log in once, close the connection, and name the outcome."""
    try:
        Connection((address, PORT), password).close()
    except (OSError, Refused) as error:
        return kind_of(error)
    return ACCEPTED


def final_outcome(address: str, password: str, deadline: float) -> str:
    """Try to log in until the server accepts or refuses the password, or the deadline has passed."""
    while (found := outcome(address, password)) not in {ACCEPTED, *LOCKED_OUT} and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return found


def main() -> None:
    sight = Sight(socket.gethostbyname(os.environ["VALKEY_HOST"]))
    reader = ApiReader(os.environ["STORAGE_SELECTOR"], os.environ["CONNECTION_SECRET"])
    prober = Prober(sight, reader.look, mounted_password)
    signal.signal(signal.SIGTERM, prober.end)
    prober.run()
    print_json(prober.verdict())


if __name__ == "__main__":
    main()

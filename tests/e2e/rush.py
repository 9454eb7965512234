"""Runs in a pod: users of MCP sessions hurry at first, then call now and then, and once more at the end.

SIGUSR1 ends the rush, SIGTERM the pod. It needs nothing but Python, and prints its results once a second. Every call
has a connection of its own, which leads to any of the proxies.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

SESSIONS = 16
RUSH_SECONDS = 0.05
CALM_SECONDS = 5.0
ANSWER_SECONDS = 30
ATTEMPTS = 10
AGAIN_SECONDS = 1.0
PROTOCOL = "2025-06-18"
SESSION = "Mcp-Session-Id"
COUNTED = re.compile(r'"text"\s*:\s*"(\d+)"')
SHOWN = 5


@dataclass(frozen=True)
class Answer:
    """What a proxy answered.

    Attributes:
        status: Status of HTTP; 0 if no answer came.
        text: Its body, or why none came.
        session: The session that the answer opens.
    """

    status: int
    text: str
    session: str = ""


class Tally:
    """What all users together have seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"sessions": 0, "calls": 0, "again": 0, "lost": 0}
        self._said: list[str] = []

    def add(self, what: str, said: str = "") -> None:
        """Count something, and keep the first few words about it."""
        with self._lock:
            self._counts[what] += 1
            if said and len(self._said) < SHOWN:
                self._said.append(f"{what}: {said[:120]}")

    def tell(self) -> None:
        """Print the tally as one line."""
        with self._lock:
            sys.stdout.write(json.dumps({**self._counts, "said": self._said}) + "\n")
            sys.stdout.flush()


class User:
    """One MCP session, whose counter has to go up with every call."""

    def __init__(self, host: str, tally: Tally) -> None:
        self._host = host
        self._tally = tally
        self._session = ""
        self._counted = 0

    def open(self) -> None:
        """Open the session."""
        asked = {
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "rush", "version": "1"},
        }
        self._session = self._ask({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": asked}).session
        self._ask({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._tally.add("sessions")

    def call(self) -> None:
        """Count once more in the session, which is lost if that fails or the counter begins anew."""
        asked = {"name": "count", "arguments": {}}
        answer = self._ask({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked})
        counted = COUNTED.search(answer.text)
        if answer.status != HTTPStatus.OK or counted is None or int(counted[1]) <= self._counted:
            self._tally.add("lost", f"{answer.status} after {self._counted}: {answer.text}")
            return
        self._counted = int(counted[1])
        self._tally.add("calls")

    def _ask(self, message: dict[str, Any]) -> Answer:
        """Ask again after a broken connection or an answer of 500 and more, since the proxy may have ended."""
        answer = self._answer(message)
        for _ in range(ATTEMPTS):
            if 0 < answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                break
            self._tally.add("again", f"{answer.status}: {answer.text}")
            time.sleep(AGAIN_SECONDS)
            answer = self._answer(message)
        return answer

    def _answer(self, message: dict[str, Any]) -> Answer:
        connection = http.client.HTTPConnection(self._host, timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", "/mcp", json.dumps(message), self._headers())
            response = connection.getresponse()
            session = response.headers.get(SESSION) or ""
            return Answer(response.status, response.read().decode(errors="replace"), session)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, repr(error))
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        if self._session:
            headers |= {SESSION: self._session, "MCP-Protocol-Version": PROTOCOL}
        return headers


def use(user: User, rush_is_over: threading.Event, ended: threading.Event) -> None:
    """Use a session until the end, and once more then."""
    user.open()
    while not ended.is_set():
        user.call()
        ended.wait(CALM_SECONDS if rush_is_over.is_set() else RUSH_SECONDS)
    user.call()


def main() -> None:
    tally, rush_is_over, ended = Tally(), threading.Event(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: rush_is_over.set())
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with ThreadPoolExecutor(SESSIONS) as pool:
        users = [pool.submit(use, User(os.environ["MCP_HOST"], tally), rush_is_over, ended) for _ in range(SESSIONS)]
        while not all(user.done() for user in users):
            time.sleep(1)
            tally.tell()
        tally.tell()
        for user in users:
            user.result()


if __name__ == "__main__":
    main()

"""What the API server's answer to an eviction means."""

from __future__ import annotations

import json
import socket
from http import HTTPStatus
from http.client import HTTPResponse, HTTPSConnection
from typing import Any

import pytest

from deploy.demo.errors import CommandFailed
from tests.chaos.api import NAMESPACE, Api

POD = {"metadata": {"name": "large-0", "namespace": NAMESPACE, "uid": "1"}}


def answer(status: HTTPStatus) -> HTTPResponse:
    """Answer as a server does that closes the connection afterwards."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(f'HTTP/1.1 {status.value} {status.phrase}\r\n\r\n{{"message": "no"}}'.encode())
        theirs.shutdown(socket.SHUT_WR)
        read = HTTPResponse(ours)
        read.begin()
        return read


class Connection(HTTPSConnection):
    """A connection to an API server that gives one answer to everything."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__("127.0.0.1")
        self._status = status
        self.asked: list[Any] = []

    def request(self, *asked: Any, **_: Any) -> None:
        self.asked = [*asked]

    def getresponse(self) -> HTTPResponse:
        return answer(self._status)


class ApiServer(Api):
    def __init__(self, status: HTTPStatus) -> None:
        self.answering = Connection(status)

    def connection(self) -> HTTPSConnection:
        return self.answering


@pytest.mark.parametrize(
    ("status", "is_evicted"),
    [
        pytest.param(HTTPStatus.CREATED, True, id="accepted"),
        pytest.param(HTTPStatus.TOO_MANY_REQUESTS, False, id="a PodDisruptionBudget forbids it for now"),
        pytest.param(HTTPStatus.NOT_FOUND, True, id="gone already"),
        pytest.param(HTTPStatus.CONFLICT, True, id="another pod has its name"),
    ],
)
def test_an_eviction_is_asked_for_until_the_pod_goes(status: HTTPStatus, *, is_evicted: bool) -> None:
    assert ApiServer(status).evict(POD) is is_evicted


def test_only_the_pod_that_was_meant_is_evicted() -> None:
    api = ApiServer(HTTPStatus.CREATED)
    api.evict(POD)
    method, path, body, _ = api.answering.asked
    assert (method, path) == ("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/large-0/eviction")
    assert json.loads(body)["deleteOptions"] == {"preconditions": {"uid": "1"}}


def test_any_other_refusal_fails_with_its_reason() -> None:
    with pytest.raises(CommandFailed, match="eviction: no"):
        ApiServer(HTTPStatus.FORBIDDEN).evict(POD)

"""The private registry's files, and uploads to a stand-in that keeps what it gets; e2e tests use a real one."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.local import oci, registry
from deploy.local.errors import StepFailed
from deploy.local.profile import HOUSE, House
from deploy.local.registry import Registry


class StandIn(ThreadingHTTPServer):
    """Keeps blobs and manifests, by path; refuses who does not know the password."""

    login = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept: dict[str, bytes] = {}
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Speaks as much of the distribution protocol as an upload needs."""

    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_GET(self) -> None:
        self._answer(401)

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.server.kept else 404)

    def do_POST(self) -> None:
        self._answer(202, f"{self.path}one?state=x")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name, _, digest = self.path.partition("uploads/one?state=x&digest=")
        self.server.kept[f"{name}{digest}"] = body
        self._answer(201)

    def _answer(self, status: int, location: str = "") -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        is_known = self.headers["Authorization"] == f"Basic {self.server.login}"
        self.send_response(status if is_known else 401)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    server = StandIn()
    monkeypatch.setattr(registry, "HOST_ADDRESS", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ours(tmp_path: Path, stand_in: StandIn) -> Registry:
    house = House(HOUSE.origin, HOUSE.mirror, stand_in.server_port, HOUSE.pool, 1, 1)
    made = Registry(tmp_path / "registry", house)
    made.prepare()
    stand_in.login = json.loads(made.credentials.read_text())["auths"][HOUSE.origin]["auth"]
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    oci.write_layer(tmp_path / "layer.tar", {"hello": b"hello"}, {})
    oci.write_archive(tmp_path / "any.tar", ["localhost/any:1"], tmp_path / "layer.tar", oci.Process())
    return tmp_path / "any.tar"


def test_credentials_are_for_all_names_of_the_registry_and_for_its_owner_alone(ours: Registry) -> None:
    auths = json.loads(ours.credentials.read_text())["auths"]
    assert set(auths) == set(HOUSE.hosts)
    assert all(base64.b64decode(each["auth"]).startswith(b"cluster:") for each in auths.values())
    for private in (ours.credentials, ours.directory / "htpasswd"):
        assert private.stat().st_mode & 0o077 == 0


def test_credentials_outlive_a_second_start(ours: Registry) -> None:
    before = ours.credentials.read_bytes()
    ours.prepare()
    is_same = ours.credentials.read_bytes() == before
    assert is_same


def test_a_password_is_hashed_with_bcrypt_and_a_salt_of_its_own() -> None:
    one, other = registry.bcrypted("pass"), registry.bcrypted("pass")
    assert re.fullmatch(r"\$2y\$04\$[./A-Za-z0-9]{53}", one)
    assert one != other


def test_a_registry_that_asks_who_is_there_answers(ours: Registry, stand_in: StandIn) -> None:
    assert ours.answers()
    stand_in.shutdown()
    stand_in.server_close()
    assert not ours.answers()


def test_an_image_is_uploaded_in_parts_and_named_by_each_tag(ours: Registry, stand_in: StandIn, archive: Path) -> None:
    ours.push(archive, "any", ["1", "1-again"])
    manifest = json.loads(stand_in.kept["/v2/any/manifests/1"])
    assert stand_in.kept["/v2/any/manifests/1-again"] == stand_in.kept["/v2/any/manifests/1"]
    for part in (manifest["config"], *manifest["layers"]):
        assert len(stand_in.kept[f"/v2/any/blobs/{part['digest']}"]) == part["size"]


def test_what_the_registry_has_is_not_uploaded_again(ours: Registry, stand_in: StandIn, archive: Path) -> None:
    ours.push(archive, "any", ["1"])
    manifest = json.loads(stand_in.kept["/v2/any/manifests/1"])
    for part in (manifest["config"], *manifest["layers"]):
        stand_in.kept[f"/v2/any/blobs/{part['digest']}"] = b""
    stand_in.asked.clear()
    ours.push(archive, "any", ["1"])
    assert not any(line.startswith("POST") for line in stand_in.asked)


def test_a_registry_that_refuses_an_image_is_named_without_the_password(
    ours: Registry, stand_in: StandIn, archive: Path
) -> None:
    stand_in.login = "another"
    with pytest.raises(StepFailed, match="the registry answered 401 to POST of any"):
        ours.push(archive, "any", ["1"])

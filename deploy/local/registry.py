"""A private registry beside the cluster: Debian's own, on the bridge, that gives images to nobody without a password.

Nodes of other profiles have all images from the start. Here a kubelet must pull, with the credentials of a Secret, what
does not lie on its node under that name.
"""

import base64
import ctypes
import ctypes.util
import http.client
import json
import secrets
import tarfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deploy.local import images, paths, pki, processes, readiness
from deploy.local.errors import StepFailed
from deploy.local.processes import Service
from deploy.local.profile import House
from deploy.local.topology import HOST_ADDRESS

USER = "cluster"
# Only this program ever sends the password, and a higher cost would delay each pull.
BCRYPT_COST = 4
TIMEOUT_SECONDS = 30
# Letters of bcrypt's own base 64.
SALT_LETTERS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SALT_LENGTH = 22
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    """The registry, by its directory.

    Attributes:
        directory: Its configuration, credentials and images.
        house: The names and the port by which nodes know it.
    """

    directory: Path
    house: House

    @property
    def command(self) -> tuple[str, ...]:
        """How it is started."""
        return ("docker-registry", "serve", str(self.directory / "config.json"))

    @property
    def credentials(self) -> Path:
        """A file for Secrets of the type kubernetes.io/dockerconfigjson, for all names of the registry."""
        return self.directory / "docker-config.json"

    def run(self, state: Path, logs: Path) -> None:
        """Start it, and give it the images that tests pull from it.

        Args:
            state: State directory of its cluster.
            logs: Where its output goes.

        Raises:
            StepFailed: It does not serve, or does not take an image.
        """
        self.prepare()
        service = Service("registry", self.command, logs / "registry.log")
        processes.ensure(service, state)
        readiness.wait("registry answers", self.answers, service.log)
        for name in images.PULLED:
            repository, _, tag = name.rpartition("/")[2].partition(":")
            self.push(images.archive(name), repository, (tag, f"{tag}{images.SECOND_TAG}"))

    def prepare(self) -> None:
        """Make configuration and credentials, once."""
        if self.directory.exists():
            return
        with paths.appearing(self.directory) as work:
            work.mkdir(mode=0o700)
            password = secrets.token_urlsafe()
            pki.write_private(work / "htpasswd", f"{USER}:{bcrypted(password)}\n".encode())
            login = base64.b64encode(f"{USER}:{password}".encode()).decode()
            known = {"auths": {host: {"auth": login} for host in self.house.hosts}}
            pki.write_private(work / self.credentials.name, json.dumps(known).encode())
            # YAML, of which JSON is a part.
            (work / "config.json").write_text(json.dumps(self._config(), indent=2))

    def answers(self) -> bool:
        """Tell whether it serves."""
        try:
            with closing(self._connection()) as connection:
                return _ask(connection, "GET", "/v2/", {}).status == http.HTTPStatus.UNAUTHORIZED
        except OSError:
            return False

    def push(self, archive: Path, name: str, tags: Iterable[str]) -> None:
        """Upload the image of an OCI archive, under some tags.

        Raises:
            StepFailed: The registry did not take it.
        """
        with closing(self._connection()) as connection, tarfile.open(archive) as tar:
            pushing = _Push(connection, self._login(), tar, name)
            try:
                pushing.run(tags)
            except (OSError, http.client.HTTPException) as error:
                raise StepFailed(f"pushing {name} to the registry failed: {error!r}") from error

    def _config(self) -> dict[str, Any]:
        return {
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "images")}},
            "http": {"addr": f"{HOST_ADDRESS}:{self.house.port}", "secret": secrets.token_hex()},
            "auth": {"htpasswd": {"realm": "cluster", "path": str(self.directory / "htpasswd")}},
        }

    def _login(self) -> str:
        known: dict[str, dict[str, str]] = json.loads(self.credentials.read_text())["auths"]
        return known[self.house.origin]["auth"]

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST_ADDRESS, self.house.port, timeout=TIMEOUT_SECONDS)


@dataclass(frozen=True)
class _Push:
    """Uploads one image. Source of the protocol: OCI distribution-spec v1.1, "Push"."""

    connection: http.client.HTTPConnection
    login: str
    tar: tarfile.TarFile
    name: str

    def run(self, tags: Iterable[str]) -> None:
        index = json.loads(self._content("index.json"))
        described = index["manifests"][0]["digest"]
        text = self._content(_blob(described))
        manifest = json.loads(text)
        for part in (manifest["config"], *manifest["layers"]):
            self._upload(part["digest"], part["size"])
        for tag in tags:
            at = f"/v2/{self.name}/manifests/{tag}"
            self._send("PUT", at, text, {"Content-Type": manifest.get("mediaType", MANIFEST)})

    def _upload(self, digest: str, size: int) -> None:
        if self._ask("HEAD", f"/v2/{self.name}/blobs/{digest}").status == http.HTTPStatus.OK:
            return
        where = self._send("POST", f"/v2/{self.name}/blobs/uploads/", b"", {})
        separator = "&" if "?" in where else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with self._open(_blob(digest)) as content:
            self._send("PUT", f"{where}{separator}digest={digest}", content, headers)

    def _send(self, method: str, at: str, body: bytes | IO[bytes], headers: dict[str, str]) -> str:
        answer = self._ask(method, at, body, headers)
        if answer.status not in {http.HTTPStatus.CREATED, http.HTTPStatus.ACCEPTED}:
            raise StepFailed(f"the registry answered {answer.status} to {method} of {self.name}")
        return answer.headers.get("Location", "")

    def _ask(
        self, method: str, at: str, body: bytes | IO[bytes] = b"", headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        return _ask(self.connection, method, at, {"Authorization": f"Basic {self.login}", **(headers or {})}, body)

    def _content(self, member: str) -> bytes:
        with self._open(member) as content:
            return content.read()

    def _open(self, member: str) -> IO[bytes]:
        if (content := self.tar.extractfile(member)) is None:
            raise StepFailed(f"the archive of {self.name} has no file {member}")
        return content


def bcrypted(password: str) -> str:
    """Hash a password as `htpasswd -B` does: the only way that the registry reads; libcrypt is on every Debian.

    Raises:
        StepFailed: The machine's libcrypt has no bcrypt.
    """
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = "".join(secrets.choice(SALT_LETTERS) for _ in range(SALT_LENGTH))
    hashed: bytes | None = library.crypt(password.encode(), f"$2y${BCRYPT_COST:02}${salt}".encode())
    if hashed is None or not hashed.startswith(b"$2y$"):
        raise StepFailed("libcrypt of this machine has no bcrypt, which the private registry needs")
    return hashed.decode()


def _ask(
    connection: http.client.HTTPConnection, method: str, at: str, headers: dict[str, str], body: bytes | IO[bytes] = b""
) -> http.client.HTTPResponse:
    connection.request(method, at, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"

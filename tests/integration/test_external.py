"""External stores on real connections: each way to fail has a condition reason of its own."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import valkey
import yaml

from certs.pki import issue
from certs.pki.pem import bundle_pem
from reconciler.plan.external_storage import HANDED_ON
from shared.consumers.toolhive import serves_session_tls
from tests.integration.control_plane import Kubectl
from tests.integration.installation import CONSUMER_PLURALS, chart_objects, environment_of, toolhive_crd
from tests.integration.kubelet import VALKEY_SERVER
from tests.integration.loopback import free_port
from tests.integration.mcpservers import await_injection, server, stored
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, await_reason, read, secret_value, status, storage
from tests.integration.terminator import speaking_tls

PASSWORD = "their-own-password"
NEW_PASSWORD = "their-next-password"

ALLOWED = "*.cache.example.com,10.0.0.0/8"
STORAGES = "sessionstorages.toolhive.stacklok.dev"

Start = Callable[..., int]


@pytest.fixture(autouse=True)
def _running(processes: dict[str, Process], kubectl: Kubectl) -> None:
    await_injection(kubectl)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start Valkeys, each with its own settings and on its own port."""
    with contextlib.ExitStack() as stack:

        def started(*settings: str, sentinel: Path | None = None) -> int:
            port = free_port()
            here = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
            mode = [str(sentinel), "--sentinel"] if sentinel is not None else []
            command = [str(VALKEY_SERVER), *mode, *here, *settings]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            stack.callback(process.wait, 10)
            stack.callback(process.kill)

            def listens() -> bool:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    return True

            eventually(listens, what="Valkey listens")
            return port

        yield started


def make_secret(kubectl: Kubectl, namespace: str, name: str = "theirs", **values: str) -> None:
    data = {key.replace("_", "."): value for key, value in values.items()}
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": data,
        }
    )


def ask(kubectl: Kubectl, namespace: str, url: str) -> None:
    kubectl.api.apply(storage("mine", namespace, external={"url": url, "secretRef": "theirs"}))


def test_a_store_is_dialled_its_connection_handed_out_and_its_changes_followed(
    kubectl: Kubectl, namespace: str, start: Start, processes: dict[str, Process]
) -> None:
    port = start("--requirepass", PASSWORD)
    make_secret(kubectl, namespace, password=PASSWORD)
    ask(kubectl, namespace, f"redis://127.0.0.1:{port}/2")
    await_ready(kubectl, namespace, "mine")
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/2"
    assert secret_value(kubectl, namespace, "mine-connection", "REDIS_URL") == url
    make_secret(kubectl, namespace, password="wrong")
    await_reason(kubectl, namespace, "mine", "AuthenticationFailed", "CredentialHandedOn")
    assert secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD") == PASSWORD
    assert status(kubectl, namespace, "mine")["phase"] == "Ready"
    with valkey.Valkey(port=port, password=PASSWORD) as owner:
        owner.execute_command("ACL", "SETUSER", "default", f">{NEW_PASSWORD}")
    make_secret(kubectl, namespace, password=NEW_PASSWORD)
    eventually(
        lambda: secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD") == NEW_PASSWORD,
        seconds=5,
        what="the connection Secret has the new password",
    )
    await_reason(kubectl, namespace, "mine", "Discarded", "CredentialRotated")
    await_ready(kubectl, namespace, "mine")
    told = processes["reconciler"].log.read_text()
    assert not [password for password in (PASSWORD, NEW_PASSWORD) if password in told]


def test_consumers_restart_when_the_password_of_their_store_has_changed(
    kubectl: Kubectl, namespace: str, start: Start
) -> None:
    port = start("--requirepass", PASSWORD)
    make_secret(kubectl, namespace, password=PASSWORD)
    ask(kubectl, namespace, f"redis://127.0.0.1:{port}")
    await_ready(kubectl, namespace, "mine")
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))
    with valkey.Valkey(port=port, password=PASSWORD) as owner:
        owner.execute_command("ACL", "SETUSER", "default", f">{NEW_PASSWORD}")
    make_secret(kubectl, namespace, password=NEW_PASSWORD)
    await_reason(kubectl, namespace, "mine", "Discarded", "CredentialRotated")
    rotation = status(kubectl, namespace, "mine")["rotation"]
    assert (rotation["consumersDone"], rotation["consumersTotal"]) == (1, 1)
    template = stored(kubectl, namespace)["spec"]["podTemplateSpec"]["metadata"]
    assert template["annotations"] == {"toolhive.stacklok.dev/credential-revision": rotation["revision"]}


def test_another_secret_is_used_at_once(kubectl: Kubectl, namespace: str, start: Start) -> None:
    port = start("--requirepass", PASSWORD)
    make_secret(kubectl, namespace, password="wrong")
    make_secret(kubectl, namespace, "theirs-too", password=PASSWORD)
    ask(kubectl, namespace, f"redis://127.0.0.1:{port}")
    await_reason(kubectl, namespace, "mine", "AuthenticationFailed")
    kubectl.api.apply(
        storage("mine", namespace, external={"url": f"redis://127.0.0.1:{port}", "secretRef": "theirs-too"})
    )
    await_ready(kubectl, namespace, "mine")
    assert secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD") == PASSWORD


def test_a_consumers_proxies_are_connected_once_the_reconciler_knows_that_it_works(
    kubectl: Kubectl, namespace: str, start: Start
) -> None:
    port = start("--requirepass", PASSWORD)
    make_secret(kubectl, namespace, password=PASSWORD)
    ask(kubectl, namespace, f"redis://127.0.0.1:{port}")
    await_ready(kubectl, namespace, "mine")

    def is_native() -> bool:
        asked = json.dumps(server(namespace, sessionStorageRef="mine"))
        made = json.loads(kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=asked))
        return bool(made["spec"].get("sessionStorage", {}).get("address") == f"127.0.0.1:{port}")

    eventually(is_native, what="the webhook knows that proxies can use the store")
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))
    assert "tls" not in stored(kubectl, namespace)["spec"]["sessionStorage"]


def test_a_user_name_is_used_and_a_condition_says_that_proxies_lack_it(
    kubectl: Kubectl, namespace: str, start: Start
) -> None:
    port = start("--user", "ann", "on", f">{PASSWORD}", "~*", "+@all")
    make_secret(kubectl, namespace, password=PASSWORD, username="ann")
    ask(kubectl, namespace, f"redis://127.0.0.1:{port}")
    await_ready(kubectl, namespace, "mine")
    await_reason(kubectl, namespace, "mine", "UserNameNotSupported", "ProxiesSupported")
    assert secret_value(kubectl, namespace, "mine-connection", "REDIS_USERNAME") == "ann"


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_secret_of_a_chart_is_used_as_it_is(kubectl: Kubectl, namespace: str, start: Start, ending: str) -> None:
    port = start("--requirepass", PASSWORD)
    values = {"redis-password": PASSWORD + ending, "username": "default"}
    make_secret(kubectl, namespace, **values)
    reference = {"name": "theirs", "passwordKey": "redis-password"}
    external = {"url": f"REDIS://127.0.0.1:{port}/", "secretRef": reference}
    kubectl.api.apply(storage("mine", namespace, external=external))
    await_ready(kubectl, namespace, "mine")
    assert secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD") == PASSWORD
    await_reason(kubectl, namespace, "mine", "PlainTcp", "ProxiesSupported")


def place_by_secret(kubectl: Kubectl, namespace: str, port: int) -> None:
    make_secret(kubectl, namespace, host="127.0.0.1", tls="false", password=PASSWORD, port=str(port))
    kubectl.api.apply(storage("mine", namespace, external={"secretRef": "theirs"}))


def place_by_url(kubectl: Kubectl, namespace: str, port: int) -> None:
    make_secret(kubectl, namespace, password=PASSWORD)
    ask(kubectl, namespace, f"redis://127.0.0.1:{port}")


@pytest.mark.parametrize("place", [place_by_secret, place_by_url])
def test_consumers_follow_a_store_that_moves_once_it_works_and_restart(
    kubectl: Kubectl, namespace: str, start: Start, place: Callable[[Kubectl, str, int], None]
) -> None:
    first, second = start("--requirepass", PASSWORD), start("--requirepass", PASSWORD)
    place(kubectl, namespace, first)
    await_ready(kubectl, namespace, "mine")
    assert status(kubectl, namespace, "mine")["endpoint"] == f"redis://127.0.0.1:{first}"
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))

    def leads_to(port: int) -> None:
        def led() -> bool:
            native = stored(kubectl, namespace)["spec"].get("sessionStorage", {})
            return bool(native.get("address") == f"127.0.0.1:{port}")

        eventually(led, seconds=15, what=f"the server's proxies are connected to {port}")

    leads_to(first)
    place(kubectl, namespace, free_port())
    await_reason(kubectl, namespace, "mine", "ConnectionRefused", "CredentialHandedOn")
    await_ready(kubectl, namespace, "mine")
    leads_to(first)
    place(kubectl, namespace, second)
    leads_to(second)
    await_reason(kubectl, namespace, "mine", "Discarded", "CredentialRotated")
    url = f"redis://:{PASSWORD}@127.0.0.1:{second}"
    assert secret_value(kubectl, namespace, "mine-connection", "REDIS_URL") == url


def test_a_host_out_of_a_secret_is_judged_and_never_told(kubectl: Kubectl, namespace: str) -> None:
    for host, reason in (
        ("169.254.169.254", "HostNotAllowed"),
        ("hunter2hunter2.invalid", "DnsFailed"),
        ("hunter2 hunter2", "SecretKeyInvalid"),
    ):
        make_secret(kubectl, namespace, host=host, password=PASSWORD)
        kubectl.api.apply(storage("mine", namespace, external={"secretRef": "theirs"}))
        told = await_reason(kubectl, namespace, "mine", reason)["message"]
        assert "Secret theirs" in told
        assert host not in json.dumps(read(kubectl, "sessionstorage", "mine", namespace))


def test_tls_is_verified(kubectl: Kubectl, namespace: str, start: Start, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority, other = issue.issue_authority(now), issue.issue_authority(now)
    leaf = issue.issue_serving(authority, ["localhost"], now)
    (tmp_path / "tls.crt").write_bytes(leaf.certificate_pem)
    (tmp_path / "tls.key").write_bytes(leaf.key_pem)
    plain, good = start("--requirepass", PASSWORD), bundle_pem([authority.certificate]).decode()
    with speaking_tls(plain, tmp_path / "tls.crt", tmp_path / "tls.key") as port:
        see_that_tls_is_verified(kubectl, namespace, port, good, bundle_pem([other.certificate]).decode())


def see_that_tls_is_verified(kubectl: Kubectl, namespace: str, port: int, good: str, other: str) -> None:
    make_secret(kubectl, namespace, password=PASSWORD, ca_crt=other)
    ask(kubectl, namespace, f"rediss://localhost:{port}")
    await_reason(kubectl, namespace, "mine", "TlsFailed")
    make_secret(kubectl, namespace, password=PASSWORD, ca_crt="nonsense")
    eventually(
        lambda: "no certificate in PEM form" in await_reason(kubectl, namespace, "mine", "TlsFailed")["message"],
        what="the condition names ca.crt",
    )
    make_secret(kubectl, namespace, password=PASSWORD, ca_crt=good)
    await_ready(kubectl, namespace, "mine")
    # ToolHive 0.47 prunes sessionStorage.tls, and would speak plain text.
    await_reason(kubectl, namespace, "mine", "TlsNotSupported", "ProxiesSupported")
    assert secret_value(kubectl, namespace, "mine-connection", "ca.crt") == good
    ask(kubectl, namespace, f"rediss://127.0.0.1:{port}")
    # The certificate does not name the address, so consumers keep the connection that works.
    await_reason(kubectl, namespace, "mine", "TlsFailed", HANDED_ON)
    await_ready(kubectl, namespace, "mine")


def test_every_way_to_fail_has_a_reason(kubectl: Kubectl, namespace: str, start: Start) -> None:
    make_secret(kubectl, namespace, password=PASSWORD)
    ask(kubectl, namespace, "redis://no-such-host.invalid:6379")
    await_reason(kubectl, namespace, "mine", "DnsFailed")
    ask(kubectl, namespace, f"redis://127.0.0.1:{free_port()}")
    await_reason(kubectl, namespace, "mine", "ConnectionRefused")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ask(kubectl, namespace, f"redis://127.0.0.1:{silent.getsockname()[1]}")
        await_reason(kubectl, namespace, "mine", "TimedOut")
    primary = start("--requirepass", PASSWORD)
    replica = start("--requirepass", PASSWORD, "--masterauth", PASSWORD, "--replicaof", "127.0.0.1", str(primary))
    ask(kubectl, namespace, f"redis://127.0.0.1:{replica}")
    await_reason(kubectl, namespace, "mine", "ReadOnly")
    make_secret(kubectl, namespace, password="wrong")
    await_reason(kubectl, namespace, "mine", "AuthenticationFailed")


@pytest.mark.parametrize(("version", "has_tls"), [("v0.44.0", False), ("v0.47.0", False), ("v0.63.0", True)])
@pytest.mark.parametrize("plural", CONSUMER_PLURALS)
def test_which_toolhive_speaks_tls_is_read_from_its_crds(plural: str, version: str, *, has_tls: bool) -> None:
    assert serves_session_tls(yaml.safe_load(toolhive_crd(plural, version).read_text())) == has_tls


def occupied(port: int) -> socket.socket:
    """Take the only connection that a store has; the one by which the test saw it listen may not be gone yet."""
    held: list[socket.socket] = []

    def is_held() -> bool:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(f"AUTH {PASSWORD}\r\n".encode())
        if connection.recv(3) == b"+OK":
            held.append(connection)
        else:
            connection.close()
        return bool(held)

    eventually(is_held, what="the store has taken the connection")
    return held[0]


def see(kubectl: Kubectl, namespace: str, port: int, reason: str) -> None:
    """See the reason that a storage gets of the store at a port."""
    ask(kubectl, namespace, f"redis://127.0.0.1:{port}")
    await_reason(kubectl, namespace, "mine", reason)


def test_what_is_no_plain_primary_is_told_apart(kubectl: Kubectl, namespace: str, start: Start, tmp_path: Path) -> None:
    make_secret(kubectl, namespace, password=PASSWORD)
    cluster = start("--requirepass", PASSWORD, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
    see(kubectl, namespace, cluster, "ClusterMode")
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text("")
    see(kubectl, namespace, start("--requirepass", PASSWORD, sentinel=configuration), "SentinelMode")
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=answer_http, args=(other,), daemon=True).start()
        see(kubectl, namespace, other.getsockname()[1], "NotRedis")


def test_why_a_primary_takes_no_writes_is_told_apart(
    kubectl: Kubectl, namespace: str, start: Start, tmp_path: Path
) -> None:
    make_secret(kubectl, namespace, password=PASSWORD)
    full = start("--requirepass", PASSWORD, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
    see(kubectl, namespace, full, "OutOfMemory")
    see(kubectl, namespace, start("--requirepass", PASSWORD, "--min-replicas-to-write", "1"), "TooFewReplicas")
    disk = tmp_path / "disk"
    disk.mkdir()
    without_disk = start("--requirepass", PASSWORD, "--dir", str(disk), "--save", "3600 1")
    disk.rmdir()
    with valkey.Valkey(port=without_disk, password=PASSWORD) as owner:
        owner.execute_command("BGSAVE")
        eventually(lambda: owner.info("persistence")["rdb_last_bgsave_status"] == "err", what="Valkey cannot save")
        see(kubectl, namespace, without_disk, "CannotSave")
    crowded = start("--requirepass", PASSWORD, "--maxclients", "1")
    with occupied(crowded):
        see(kubectl, namespace, crowded, "TooManyClients")
    busy = start("--requirepass", PASSWORD, "--busy-reply-threshold", "1")
    with socket.create_connection(("127.0.0.1", busy)) as client:
        client.sendall(f'AUTH {PASSWORD}\r\nEVAL "while true do end" 0\r\n'.encode())
        see(kubectl, namespace, busy, "ScriptRunning")


def answer_http(listener: socket.socket) -> None:
    """Answer as an HTTP server does, until the socket is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def test_look_after_look_at_a_store_that_fails_writes_nothing(kubectl: Kubectl, namespace: str) -> None:
    make_secret(kubectl, namespace, password=PASSWORD)
    with socket.create_server(("127.0.0.1", 0)) as other:
        connections = 0

        def count() -> None:
            nonlocal connections
            with contextlib.suppress(OSError):
                while True:
                    other.accept()[0].close()
                    connections += 1

        threading.Thread(target=count, daemon=True).start()
        ask(kubectl, namespace, f"redis://127.0.0.1:{other.getsockname()[1]}")
        await_reason(kubectl, namespace, "mine", "NotRedis")
        before, seen = read(kubectl, "sessionstorage", "mine", namespace)["metadata"]["resourceVersion"], connections
        eventually(lambda: connections >= seen + 3, seconds=30, what="the store was dialled three times more")
        assert read(kubectl, "sessionstorage", "mine", namespace)["metadata"]["resourceVersion"] == before


def test_an_address_that_no_store_has_is_refused_by_both_processes(kubectl: Kubectl, namespace: str) -> None:
    metadata_service = storage("mine", namespace, external={"url": "redis://169.254.169.254"})
    said = kubectl.fails("create", "-f", "-", stdin=json.dumps(metadata_service))
    assert "169.254.169.254 is the address of a cloud's metadata service" in said
    # The webhook asks no DNS; the C library reads this as 169.254.169.254.
    kubectl.api.create(storage("mine", namespace, external={"url": "redis://0xa9.0xfe.0xa9.0xfe"}))
    await_reason(kubectl, namespace, "mine", "HostNotAllowed")


def test_who_names_a_secret_must_be_allowed_to_read_it(kubectl: Kubectl, namespace: str) -> None:
    make_secret(kubectl, namespace, password=PASSWORD)
    kubectl("create", "role", "storages", "--verb=*", f"--resource={STORAGES}", "-n", namespace)
    kubectl("create", "rolebinding", "ann", "--role=storages", "--user=ann", "-n", namespace)
    theirs = json.dumps(storage("mine", namespace, external={"url": "redis://127.0.0.1:1", "secretRef": "theirs"}))
    said = kubectl.fails("create", "-f", "-", "--as=ann", stdin=theirs)
    assert 'user "ann" may not read Secret "theirs"' in said
    kubectl("create", "-f", "-", stdin=theirs)
    elsewhere = '{"spec": {"external": {"url": "redis://127.0.0.1:2"}}}'
    patch = ("patch", "sstore", "mine", "-n", namespace, "--as=ann", "--type=merge", "-p")
    assert 'may not read Secret "theirs"' in kubectl.fails(*patch, elsewhere)
    kubectl(*patch, '{"spec": {"allowedNamespaces": ["elsewhere"]}}')
    command = said.partition("give this user the right: ")[2].strip().replace("kubectl ", "")
    for words in command.split(";"):
        kubectl(*shlex.split(words))
    kubectl(*patch, elsewhere)


def test_both_processes_get_the_hosts_that_the_chart_allows() -> None:
    for values, said in (((), ""), (("external.allowedHosts={*.cache.example.com,10.0.0.0/8}",), ALLOWED)):
        objects = chart_objects(*values)
        for component in ("webhook", "reconciler"):
            assert environment_of(objects, component)["EXTERNAL_ALLOWED_HOSTS"] == said

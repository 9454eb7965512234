"""Storages that an earlier release created live on with this one, and no password is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import valkey

from reconciler.credentials import identities
from reconciler.manifests import valkey_config
from shared import names
from shared.kubernetes.client import Cluster
from shared.objects.resources import CONFIG_MAPS, SECRETS, STATEFUL_SETS, Object, Resource
from tests.integration.control_plane import Kubectl
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, primary, read, secret_value, status, storage

pytestmark = pytest.mark.usefixtures("kubelet")

LATER_RIGHTS = " +acl|save +multi +exec +client|id"
"""Rights of user operator since instances save their ACL file; without them, Valkey refuses it during a rotation."""
LATER_FILE = "include "
"""Start of the line by which an instance includes the file that its start command writes."""


async def change(cluster: Cluster, resource: Resource, namespace: str, name: str, **fields: Object) -> None:
    present = await cluster.get(resource, namespace, name)
    await cluster.replace(resource, present | fields)


async def make_earlier(cluster: Cluster, namespace: str) -> None:
    """Turn a storage into what it was before instances had their own ACL file, and read the mounted one."""
    auth = await cluster.get(SECRETS, namespace, "mine-auth")
    values = identities.decoded(auth["data"])
    assert LATER_RIGHTS in values[names.KEY_USERS_ACL]
    values[names.KEY_USERS_ACL] = values[names.KEY_USERS_ACL].replace(LATER_RIGHTS, "")
    await change(cluster, SECRETS, namespace, "mine-auth", data=identities.encoded(values))

    config = await cluster.get(CONFIG_MAPS, namespace, "mine-valkey")
    text = config["data"][valkey_config.CONFIG_FILE]
    assert valkey_config.LIVE_DIRECTORY in text
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(LATER_FILE))
    text = text.replace(valkey_config.LIVE_DIRECTORY, valkey_config.ACL_DIRECTORY)
    await change(cluster, CONFIG_MAPS, namespace, "mine-valkey", data={valkey_config.CONFIG_FILE: text})

    workload = await cluster.get(STATEFUL_SETS, namespace, "mine-valkey-0")
    template = workload["spec"]["template"]
    template["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_HASH] = "earlier"
    workload["spec"]["updateStrategy"] = {"type": "RollingUpdate"}
    pod, (container,) = template["spec"], template["spec"]["containers"]
    container["command"] = ["valkey-server", f"{valkey_config.CONFIG_DIRECTORY}/{valkey_config.CONFIG_FILE}"]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "live-acl"]
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "live-acl"]
    await change(cluster, STATEFUL_SETS, namespace, "mine-valkey-0", spec=workload["spec"])


def primary_pod(kubectl: Kubectl, namespace: str) -> Object:
    """Read the primary's pod; an update moves the primary."""
    return read(kubectl, "pod", names.valkey_pod("mine", primary(kubectl, namespace)), namespace)


def config_hash(kubectl: Kubectl, namespace: str) -> str:
    """Return the hash of the template of the primary's pod; empty if the pod does not run."""
    with suppress(AssertionError):
        pod = primary_pod(kubectl, namespace)
        if pod["status"].get("podIP"):
            found: str = pod["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_HASH]
            return found
    return ""


class Consumer(threading.Thread):
    """Logs in to the primary again and again with the connection Secret's password."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        super().__init__(daemon=True)
        self._kubectl, self._namespace = kubectl, namespace
        self._done = threading.Event()
        self.refused: list[str] = []
        self.passwords: set[str] = set()
        self.logins = 0

    def run(self) -> None:
        while not self._done.is_set():
            # Between two pods there is no primary, and one that starts or stops does not answer.
            with suppress(AssertionError, KeyError, valkey.ConnectionError, valkey.TimeoutError):
                self._log_in()

    def _log_in(self) -> None:
        password = self._password()
        self.passwords.add(password)
        address = primary_pod(self._kubectl, self._namespace)["status"]["podIP"]
        try:
            with valkey.Valkey(host=address, password=password, socket_timeout=1) as client:
                client.ping()
        except valkey.AuthenticationError as error:
            if self._password() == password:  # not the password of a Secret that changed during the login
                self.refused.append(str(error))
        else:
            self.logins += 1

    def _password(self) -> str:
        return secret_value(self._kubectl, self._namespace, "mine-connection", names.KEY_REDIS_PASSWORD)

    def stop(self) -> None:
        self._done.set()
        self.join()


@contextmanager
def logging_in(kubectl: Kubectl, namespace: str) -> Iterator[Consumer]:
    consumer = Consumer(kubectl, namespace)
    consumer.start()
    try:
        yield consumer
    finally:
        consumer.stop()


async def test_a_storage_of_an_earlier_release_keeps_its_passwords_and_can_rotate_them(
    kubectl: Kubectl, cluster: Cluster, namespace: str, processes: dict[str, Process]
) -> None:
    reconciler = processes["reconciler"]
    reconciler.await_ready()
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    before = read(kubectl, "secret", "mine-auth", namespace)["data"]
    reconciler.kill()
    try:
        await make_earlier(cluster, namespace)
        eventually(lambda: config_hash(kubectl, namespace) == "earlier", what="the earlier pod is primary")
        with logging_in(kubectl, namespace) as consumer:
            eventually(lambda: consumer.logins > 0, what="a consumer logs in")
            reconciler.start()
            eventually(lambda: config_hash(kubectl, namespace) not in {"", "earlier"}, what="its successor is primary")
            await_ready(kubectl, namespace, "mine")
            logins = consumer.logins
            eventually(lambda: consumer.logins > logins, what="a consumer logs in again")
            after = read(kubectl, "secret", "mine-auth", namespace)["data"]
            assert {key: after[key] for key in identities.PASSWORD_KEYS} == {
                key: before[key] for key in identities.PASSWORD_KEYS
            }
            assert len(consumer.passwords) == 1
            kubectl("annotate", "sessionstorage", "mine", f"{names.ANNOTATION_ROTATE}=one", "-n", namespace)
            eventually(
                lambda: status(kubectl, namespace, "mine").get("rotation", {}).get("phase") == "Discarded",
                what="the rotation is over",
            )
            logins = consumer.logins
            eventually(lambda: consumer.logins > logins, what="a consumer logs in with the new password")
        assert consumer.refused == []
        assert len(consumer.passwords) == 2
    finally:
        reconciler.kill()
        reconciler.start()

"""The running reconciler checks primaries at rest, and helps one that takes no writes. About 8 s, two periods."""

from __future__ import annotations

import time

import pytest
import valkey
from valkey import exceptions

from reconciler.credentials.identities import CONSUMER, OPERATOR, Identity
from reconciler.observe.write_checks import PERIOD_SECONDS
from shared import names
from tests.integration.control_plane import Kubectl
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, read, secret_value, storage

NOBODY = "127.0.0.1", "1"


def client(kubectl: Kubectl, namespace: str, identity: Identity) -> valkey.Valkey:
    address = read(kubectl, "pod", names.valkey_pod("mine", 0), namespace)["status"]["podIP"]
    password = secret_value(kubectl, namespace, names.auth_secret("mine"), identity.key)
    return valkey.Valkey(host=address, username=identity.user, password=password, socket_timeout=5)


def takes_writes(consumer: valkey.Valkey) -> bool:
    try:
        return bool(consumer.set("session", "new"))
    except exceptions.ReadOnlyError:
        return False


@pytest.mark.usefixtures("kubelet")
def test_a_primary_at_rest_that_takes_no_writes_is_looked_at_at_once(
    kubectl: Kubectl, processes: dict[str, Process], namespace: str, figures: list[str]
) -> None:
    reconciler = processes["reconciler"]
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    # What has just started is looked at often for a minute; a new leader does not know that.
    assert reconciler.terminate() == 0
    reconciler.start()
    reconciler.await_ready()
    with client(kubectl, namespace, OPERATOR) as operator, client(kubectl, namespace, CONSUMER) as consumer:

        def is_checked() -> bool:
            """Tell whether some session's last command was that of a check; a look ends with another one."""
            others = [each for each in operator.client_list() if each["cmd"] != "client|list"]
            return any(each["user"] == OPERATOR.user and each["cmd"] == "info" for each in others)

        eventually(is_checked, what="the primary is checked")
        operator.execute_command("REPLICAOF", *NOBODY)
        began = time.monotonic()
        assert not takes_writes(consumer)
        eventually(lambda: takes_writes(consumer), what="it takes writes again")
        took = time.monotonic() - began
    figures.append(f"a primary at rest that took no writes took them again after {took:.1f} s")
    assert took < 2 * PERIOD_SECONDS, "looks alone would take up to 30 s"

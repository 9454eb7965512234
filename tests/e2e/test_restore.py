"""What a backup of the cluster brings back serves with its data, once somebody has agreed."""

from __future__ import annotations

import re
import shlex

from deploy.demo.kube import until
from deploy.demo.storages import KIND, await_finding
from shared import names
from tests.e2e.clients import ask, await_client, client, keys
from tests.e2e.conftest import Run
from tests.e2e.namespaces import STORAGES
from tests.e2e.storages import await_ready, has_one_password, read, secret, storage

NAME = "restored"
MINE = f"--selector={names.LABEL_STORAGE}={NAME}"
HOST = f"{names.valkey(NAME)}.{STORAGES}.svc"
CALLER = "restored-client"
SESSION = "thv:proxy:session:kept"
GONE_SECONDS = 60


def test_a_storage_serves_the_data_of_volumes_and_secrets_that_are_all_that_is_left_of_it(run: Run) -> None:
    kube = run.kube
    kube.apply(storage(NAME, STORAGES, size="medium"), client(CALLER, STORAGES, run.images, f"{NAME}-connection"))
    await_ready(kube, STORAGES, NAME)
    await_client(kube, CALLER, STORAGES)
    until("the client writes", lambda: ask(kube, CALLER, STORAGES, HOST, f"SET {SESSION} x EX 600") == "OK", 30)
    former = read(kube, KIND, NAME, STORAGES)["metadata"]["uid"]
    kube.run("delete", KIND, NAME, "--cascade=orphan", namespace=STORAGES)
    kinds = "statefulsets,configmaps,services,endpointslices,networkpolicies,poddisruptionbudgets"
    kube.run("delete", kinds, MINE, namespace=STORAGES)
    until("its pod is gone", lambda: not kube.items("pods", STORAGES, MINE), GONE_SECONDS)
    before = secret(kube, f"{NAME}-auth", STORAGES)

    kube.apply(storage(NAME, STORAGES, size="medium"))
    message = await_finding(kube, (STORAGES, NAME), "Ready", "AdoptionNeeded")["message"]
    assert kube.items("statefulsets", STORAGES, MINE) == []
    (command,) = re.findall("`kubectl (.*)`", message)
    kube.run(*shlex.split(command))
    await_ready(kube, STORAGES, NAME)
    # The Service has another address, which the cluster's DNS servers learn up to 30 s later.
    until("its session is there", lambda: keys(kube, CALLER, STORAGES, HOST) == [SESSION], GONE_SECONDS)
    is_the_same = secret(kube, f"{NAME}-auth", STORAGES) == before
    assert is_the_same
    assert has_one_password(kube, NAME, STORAGES)
    (claim,) = kube.items("persistentvolumeclaims", STORAGES, MINE)
    assert former not in str(claim["metadata"]["ownerReferences"])

    kube.run("delete", KIND, NAME, namespace=STORAGES)
    kube.run("delete", "pod", CALLER, "--force", "--grace-period=0", namespace=STORAGES)
    until("its disk is gone", lambda: not kube.items("persistentvolumeclaims", STORAGES, MINE), GONE_SECONDS)

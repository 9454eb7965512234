"""What a storage promises holds on a cluster that is as unlike ours as clusters of users can be.

Each test leaves everything as it should be, and the last one uninstalls the chart. All of it takes some five minutes.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import pytest

from deploy.demo import installation, storages
from deploy.demo.kube import Kube, Object, until
from deploy.demo.stage import EXTERNAL_NAMESPACE, NAMESPACE, STORAGE, Stage
from deploy.local import nodeservices
from deploy.local.images import SECOND_TAG
from deploy.local.profile import HOUSE, Oddity
from deploy.local.topology import NODES
from shared import names
from tests.chaos import nodes
from tests.e2e import idle
from tests.e2e.awkward.conftest import LARGE
from tests.e2e.awkward.oddities import SIGHTS, family, profile
from tests.e2e.awkward.session import LongSession
from tests.e2e.conftest import Run
from tests.e2e.namespaces import TOOLHIVE
from tests.e2e.storages import has_one_password, read, secret, server
from tests.support.audit import AuditLog

PROFILE: Final = profile()
ALL_STORAGES: Final = {(NAMESPACE, STORAGE), (NAMESPACE, "dev-storage"), (TOOLHIVE, LARGE)}
RECOVERED_SECONDS: Final = 90
DRAINED_SECONDS: Final = 120
ROTATED_SECONDS: Final = 240
UPDATED_SECONDS: Final = 240
FORGETTING_SECONDS: Final = 10


def valkey_pods(kube: Kube) -> list[Object]:
    return kube.items("pods", "", f"--selector={names.LABEL_STORAGE}")


def valkey_pods_of(kube: Kube, name: str) -> list[Object]:
    return kube.items("pods", "", f"--selector={names.LABEL_STORAGE}={name}")


def is_redundant(kube: Kube) -> bool:
    found = read(kube, storages.KIND, LARGE, TOOLHIVE)
    return storages.condition(found, "Redundant").get("status") == "True"


def are_all_ready(kube: Kube) -> bool:
    """Tell whether every storage with a Valkey is Ready, and nothing of it is being changed."""
    found = [read(kube, storages.KIND, name, namespace) for namespace, name in ALL_STORAGES]
    is_ready = all(storages.condition(each, "Ready").get("status") == "True" for each in found)
    return is_ready and not any(storages.condition(each, "Updating").get("status") == "True" for each in found)


def await_well(kube: Kube) -> None:
    until("all storages are ready", lambda: are_all_ready(kube) and is_redundant(kube), RECOVERED_SECONDS)


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("oddity", PROFILE.oddities, ids=lambda oddity: oddity.name)
def test_the_cluster_is_as_awkward_as_its_profile_says(kube: Kube, oddity: Oddity, figures: list[str]) -> None:
    seen = SIGHTS[oddity](kube)
    figures.append(f"covered: {oddity} Seen: {seen}.")


def test_the_readme_s_example_serves_sessions_through_both_proxies(session: LongSession) -> None:
    session.await_going_on()


def test_a_server_serves_sessions_from_a_storage_of_another_namespace(production: LongSession) -> None:
    production.await_going_on()


def test_each_valkey_pod_is_where_and_as_the_house_wants_it(stage: Stage) -> None:
    kube = stage.kube
    found = valkey_pods(kube)
    assert len(found) == 5
    for each in found:
        spec, (container,) = each["spec"], each["spec"]["containers"]
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == HOUSE.first_user_id
        assert container["image"].startswith(f"{HOUSE.mirror}/valkey:")
        assert container["resources"]["limits"]["cpu"] == "1"
        assert PROFILE.taints[spec["nodeName"]] == HOUSE.pool
        assert [family(address["ip"]) for address in each["status"]["podIPs"]] == list(PROFILE.families)
    first, *_ = PROFILE.families
    for namespace, name in ALL_STORAGES:
        assert read(kube, "service", names.valkey(name), namespace)["spec"]["ipFamilies"] == [first]
        assert read(kube, "endpointslice", names.valkey(name), namespace)["addressType"] == first
    claims = kube.items("persistentvolumeclaims", "", f"--selector={names.LABEL_STORAGE}")
    assert {claim["spec"]["storageClassName"] for claim in claims} == {PROFILE.storage_class}


def test_pods_resolve_names_of_the_cluster_s_own_domain_at_their_node(stage: Stage) -> None:
    (pod_of_large, *_) = valkey_pods_of(stage.kube, LARGE)
    told = stage.kube.run("exec", pod_of_large["metadata"]["name"], "--", "cat", "/etc/resolv.conf", namespace=TOOLHIVE)
    (node,) = (each for each in NODES if each.name == pod_of_large["spec"]["nodeName"])
    address, *_ = nodeservices.addresses(node, PROFILE)
    assert f"nameserver {address}" in told
    assert f"svc.{PROFILE.domain}" in told


def test_another_instance_takes_over_when_a_primary_is_deleted(
    kube: Kube, production: LongSession, figures: list[str]
) -> None:
    before = storages.primary_pod(kube, TOOLHIVE, LARGE)
    assert before is not None
    begun = time.monotonic()
    kube.run("delete", "pod", before["metadata"]["name"], "--force", "--grace-period=0", namespace=TOOLHIVE)

    def has_moved() -> bool:
        primary = read(kube, storages.KIND, LARGE, TOOLHIVE)["status"]["primary"]
        return bool(primary != before["metadata"]["name"].removesuffix("-0"))

    until("another instance has taken over", has_moved, RECOVERED_SECONDS)
    figures.append(f"forced deletion: the status names another primary after {time.monotonic() - begun:.1f} s")
    production.await_going_on()
    await_well(kube)


def primary_node(kube: Kube) -> str:
    """Name the node of the primary of the large storage; empty while it has none."""
    found = storages.primary_pod(kube, TOOLHIVE, LARGE) or {}
    return str(found.get("spec", {}).get("nodeName", ""))


def test_a_node_is_drained_and_every_session_goes_on(
    kube: Kube, session: LongSession, production: LongSession, figures: list[str]
) -> None:
    """Two workers have three instances, and volumes are tied to nodes: only the worker with one can be emptied."""
    instances = Counter(each["spec"]["nodeName"] for each in valkey_pods_of(kube, LARGE))
    (crowded, _), (node, count) = instances.most_common()
    assert count == 1
    begun = time.monotonic()
    with nodes.cordoned(kube, crowded):
        until("the primary has left the cordoned node", lambda: primary_node(kube) == node, DRAINED_SECONDS)
    await_well(kube)
    figures.append(f"primaries have left a cordoned worker, and all is well, after {time.monotonic() - begun:.1f} s")
    begun = time.monotonic()
    with nodes.cordoned(kube, node):
        kube.run(
            "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={DRAINED_SECONDS}s"
        )
        figures.append(f"a worker is drained of everything after {time.monotonic() - begun:.1f} s")
        assert primary_node(kube) == crowded
        session.await_going_on()
        production.await_going_on()
    await_well(kube)


def test_passwords_rotate(kube: Kube, session: LongSession, figures: list[str]) -> None:
    def password() -> str:
        return secret(kube, f"{STORAGE}-connection", NAMESPACE)["REDIS_PASSWORD"]

    before = password()
    begun = time.monotonic()
    asked = f"{names.ANNOTATION_ROTATE}={datetime.now(UTC).isoformat()}"
    kube.run("annotate", storages.KIND, STORAGE, asked, "--overwrite", namespace=NAMESPACE)

    def has_rotated() -> bool:
        found = storages.condition(read(kube, storages.KIND, STORAGE, NAMESPACE), "CredentialRotated")
        return found.get("status") == "True" and password() != before

    until("the password has rotated", has_rotated, ROTATED_SECONDS)
    figures.append(f"rotation: {time.monotonic() - begun:.0f} s")
    assert has_one_password(kube, STORAGE, NAMESPACE)
    session.await_going_on()


def test_another_image_is_pulled_from_the_mirror_and_every_storage_runs_it(
    run: Run, session: LongSession, production: LongSession, figures: list[str]
) -> None:
    begun = time.monotonic()
    another = dataclasses.replace(run.images, valkey=run.images.valkey + SECOND_TAG)
    installation.install(run.kube, another, *run.values)
    wanted = another.valkey.replace(HOUSE.origin, HOUSE.mirror)

    def run_it() -> bool:
        return {each["spec"]["containers"][0]["image"] for each in valkey_pods(run.kube)} == {wanted}

    until("every storage runs the other image", lambda: run_it() and are_all_ready(run.kube), UPDATED_SECONDS)
    figures.append(f"another image on three storages: {time.monotonic() - begun:.0f} s")
    session.await_going_on()
    production.await_going_on()
    await_well(run.kube)


@pytest.mark.usefixtures("session", "production")
@pytest.mark.parametrize("seconds", [idle.IDLE_SECONDS, pytest.param(600, marks=pytest.mark.drill)])
def test_nothing_is_written_at_rest(kube: Kube, audit_log: AuditLog, seconds: float, figures: list[str]) -> None:
    # Its storage does not exist, so that its proxy restarts again and again, and applies its backend each time.
    kube.run("delete", "mcpservers", "my-server", "--ignore-not-found", namespace=EXTERNAL_NAMESPACE)
    seen = idle.observe(kube, audit_log, seconds)
    written = f"{seen.written.total()} writes of ours, {seen.provoked.total()} in answer to us"
    figures.append(f"at rest: {written}, {dict(seen.reconciled)} reconciles in {seconds} s")
    assert seen.written == Counter()
    assert seen.provoked == Counter()
    assert seen.reconciled["error"] == 0


def test_after_an_uninstall_storages_serve_and_nobody_is_blocked(
    run: Run, session: LongSession, production: LongSession
) -> None:
    installation.uninstall(run.kube)
    anybody = json.dumps(server("anybody", NAMESPACE, "an-image:1", sessionStorageRef="any-storage"))
    create = ("create", "--dry-run=server", "-f", "-")
    until("nobody judges references", lambda: not run.kube.refusal(*create, stdin=anybody), FORGETTING_SECONDS)
    session.await_going_on()
    production.await_going_on()

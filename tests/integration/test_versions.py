"""A SessionStorage is the same in both versions of the API, for users, the webhook and the reconciler.

The file takes about ten seconds, most of it for the API server to serve a changed CRD.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from shared.objects.resources import CRDS, SESSION_STORAGES, Object
from shared.session_storage.crd import SERVED_VERSIONS, crd
from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import await_injection, server
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, expected_children, read, status, storage

CRD = "sessionstorages.toolhive.stacklok.dev"
BETA = replace(SESSION_STORAGES, version="v1beta1")
UNREADABLE = "request to convert CR to an invalid group/version: toolhive.stacklok.dev/v1beta1"
VERSIONS = pytest.mark.parametrize("version", SERVED_VERSIONS)


@pytest.fixture(autouse=True)
def _injecting(processes: dict[str, Process], kubectl: Kubectl) -> None:
    del processes
    await_injection(kubectl)


def versioned(version: str, name: str, namespace: str, **spec: object) -> Object:
    return {**storage(name, namespace, **spec), "apiVersion": f"toolhive.stacklok.dev/{version}"}


def users_fields(obj: Object) -> Object:
    """What of an object does not depend on the version in which somebody reads it."""
    unstable = {"managedFields", "resourceVersion"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in unstable}
    return {"metadata": metadata, "spec": obj["spec"]}


def test_the_api_server_keeps_storages_in_the_version_that_every_release_serves(kubectl: Kubectl) -> None:
    found = kubectl.api.get(CRDS, "", CRD)
    assert found["status"]["storedVersions"] == ["v1alpha1"]
    assert [version["name"] for version in found["spec"]["versions"] if version["served"]] == list(SERVED_VERSIONS)


@VERSIONS
def test_kubectl_warns_of_neither_version(kubectl: Kubectl, namespace: str, version: str) -> None:
    stdin = json.dumps(versioned(version, "mine", namespace, size="small"))
    assert kubectl.warns("apply", "--validate=strict", "-f", "-", stdin=stdin) == ""
    assert (
        kubectl.warns("apply", "--validate=strict", "--server-side", "--force-conflicts", "-f", "-", stdin=stdin) == ""
    )


@VERSIONS
def test_a_storage_gets_the_webhooks_defaults_and_reads_the_same_in_both_versions(
    kubectl: Kubectl, namespace: str, version: str
) -> None:
    kubectl.api.create(versioned(version, "mine", namespace))
    older, newer = (kubectl.api.get(each, namespace, "mine") for each in (SESSION_STORAGES, BETA))
    assert older["spec"] == {"size": "medium"}
    assert users_fields(older) == users_fields(newer)
    assert (older["apiVersion"], newer["apiVersion"]) == (
        "toolhive.stacklok.dev/v1alpha1",
        "toolhive.stacklok.dev/v1beta1",
    )


@VERSIONS
def test_the_webhook_refuses_mistakes_in_its_own_words(kubectl: Kubectl, namespace: str, version: str) -> None:
    wrong = versioned(version, "mine", namespace, size="huge", external={"url": "http://there"})
    said = kubectl.api.refusal(wrong)
    assert 'spec.size: Unsupported value: "huge": supported values: "small", "medium", "large"' in said
    assert "spec.external.url: Unsupported value: must start with redis://" in said


@VERSIONS
def test_the_schema_refuses_mistakes_without_the_webhook(kubectl: Kubectl, version: str) -> None:
    wrong = versioned(version, "mine", "kube-system", external={"url": "http://there"})
    assert "spec.external.url: Forbidden: must be redis://host[:port][/db]" in kubectl.api.refusal(wrong)


@VERSIONS
def test_a_storage_that_consumers_use_is_not_deleted(kubectl: Kubectl, namespace: str, version: str) -> None:
    kubectl.api.create(versioned(version, "mine", namespace, size="small"))
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))
    seen = replace(SESSION_STORAGES, version=version)

    def is_refused() -> bool:
        """The webhook learns of the consumer by a watch."""
        return "is used by MCPServer" in kubectl.api.delete_refusal(seen, namespace, "mine", "--dry-run=server")

    eventually(is_refused, what="the webhook knows the consumer")


@pytest.mark.usefixtures("kubelet")
def test_the_reconciler_provides_a_storage_of_the_newer_version(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.create(versioned("v1beta1", "mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    assert kubectl.api.get(BETA, namespace, "mine")["status"] == status(kubectl, namespace, "mine")
    kinds = {name.partition("/")[0] for name in expected_children("mine")}
    assert "secret" in kinds
    (owner,) = read(kubectl, "secret", "mine-auth", namespace)["metadata"]["ownerReferences"]
    assert owner["apiVersion"] == SESSION_STORAGES.api_version


@contextmanager
def earlier_crd(kubectl: Kubectl) -> Iterator[None]:
    """Serve the older version alone, as a rollback of the release does."""
    wanted = crd()
    earlier = {**wanted, "spec": {**wanted["spec"], "versions": wanted["spec"]["versions"][:1]}}
    kubectl.apply(earlier)
    try:
        yield
    finally:
        kubectl.apply(wanted)
        eventually(lambda: serves(kubectl, "v1beta1"), what="the API server serves v1beta1 again")


def serves(kubectl: Kubectl, version: str) -> bool:
    """Ask for storages: of a version that it does not serve, the API server says 404, and not in JSON."""
    try:
        kubectl.api.list(replace(SESSION_STORAGES, version=version), "default")
    except (AssertionError, ValueError):
        return False
    return True


@pytest.mark.usefixtures("kubelet")
def test_a_rollback_to_a_release_without_the_newer_version_loses_no_storage(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.create(storage("mine", namespace, size="small"))
    kubectl.api.create(versioned("v1beta1", "newer", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    await_ready(kubectl, namespace, "newer")
    before = [users_fields(read(kubectl, "sessionstorage", name, namespace)) for name in ("mine", "newer")]
    uids = [read(kubectl, "secret", f"{name}-auth", namespace)["metadata"]["uid"] for name in ("mine", "newer")]
    with earlier_crd(kubectl):
        eventually(lambda: not serves(kubectl, "v1beta1"), what="the API server serves v1alpha1 alone")
        assert [users_fields(read(kubectl, "sessionstorage", name, namespace)) for name in ("mine", "newer")] == before
        eventually(lambda: has_acted_on(kubectl, namespace, "mine", share(kubectl, namespace, "mine")), what="it acts")
        # Kubernetes reads `managedFields` in the versions of those who wrote: nobody can apply, the reconciler neither.
        asked = json.dumps(storage("newer", namespace, size="small"))
        assert UNREADABLE in kubectl.fails("apply", "--server-side", "-f", "-", stdin=asked)
        generation = share(kubectl, namespace, "newer")
    eventually(lambda: has_acted_on(kubectl, namespace, "newer", generation), what="it acts with the newer CRD")
    assert [read(kubectl, "secret", f"{name}-auth", namespace)["metadata"]["uid"] for name in ("mine", "newer")] == uids


def share(kubectl: Kubectl, namespace: str, name: str) -> int:
    """Change the spec of a storage by an ordinary update, and return the generation that this makes."""
    patch = {"spec": {"allowedNamespaces": ["elsewhere"]}}
    generation: int = kubectl.api.change(SESSION_STORAGES, namespace, name, patch)["metadata"]["generation"]
    return generation


def has_acted_on(kubectl: Kubectl, namespace: str, name: str, generation: int) -> bool:
    """Tell whether the reconciler has written a status for this generation of the spec, or a later one."""
    return bool(status(kubectl, namespace, name)["observedGeneration"] >= generation)

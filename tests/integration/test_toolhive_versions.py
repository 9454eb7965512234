"""ToolHive's own CRDs, release by release: the reconciler extends each, and connects consumers by the fields it has.

The tests install every release over the one before it, as an upgrade does: our field goes, consumers with it stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from certs.pki import issue
from certs.pki.pem import bundle_pem
from deploy.local import binaries
from shared.names import key_prefix
from shared.objects.resources import CRDS, Object
from tests.integration.consumers import KINDS, RESOURCES, WAYS, await_injection_of_all, change, found, referring
from tests.integration.control_plane import Kubectl
from tests.integration.installation import EXTENDED_PLURALS, toolhive_crd
from tests.integration.mcpservers import RECORD
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_reason, storage
from tests.rules.rule import auth_config, virtual_server

FIELD_BACK_SECONDS = 5
VERSIONS = {"v0.44.0": False, "v0.47.0": False, "v0.63.0": True}
"""Whether each of ToolHive's releases serves `sessionStorage.tls`."""
PASSWORD = "their-own-password"
SERVED = ("v1alpha1", "v1beta1")
"""The versions of the API that each of these releases serves."""


def install(kubectl: Kubectl, version: str) -> None:
    """Install a release's CRDs as Helm does, which removes everything else from them."""
    for plural in EXTENDED_PLURALS:
        manifest = str(toolhive_crd(plural, version))
        kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", manifest)


def is_extended(kubectl: Kubectl, plural: str) -> bool:
    crd = kubectl.api.get(CRDS, "", f"{plural}.toolhive.stacklok.dev")
    schemas = [version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"]]
    return all("sessionStorageRef" in schema["properties"]["spec"]["properties"] for schema in schemas)


@pytest.fixture(scope="module", autouse=True)
def _restored(processes: dict[str, Process], kubectl: Kubectl) -> Iterator[None]:
    """Reinstall the release that all other tests use."""
    await_injection_of_all(kubectl)
    yield
    install(kubectl, binaries.TOOLHIVE_VERSION)
    await_injection_of_all(kubectl)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest, kubectl: Kubectl) -> str:
    installed: str = request.param
    install(kubectl, installed)
    for plural in EXTENDED_PLURALS:
        eventually(partial(is_extended, kubectl, plural), seconds=FIELD_BACK_SECONDS, what=f"{plural} has the field")
    await_injection_of_all(kubectl)
    return installed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_consumer_is_stored_with_all_that_it_needs(
    kubectl: Kubectl, namespace: str, version: str, kind: str, way: str
) -> None:
    kubectl.api.create(referring(kind, namespace, way))
    spec = found(kubectl, kind, namespace)["spec"]
    assert spec["sessionStorage"] == {
        "provider": "redis",
        "address": f"mine-valkey.{namespace}.svc:6379",
        "db": 0,
        "keyPrefix": key_prefix(kind, namespace, "srv"),
        "passwordRef": {"name": "mine-connection", "key": "REDIS_PASSWORD"},
    }
    if kind != "MCPRemoteProxy":
        (container,) = spec["podTemplateSpec"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "mine-connection"}}]
    else:
        assert "podTemplateSpec" not in spec


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", SERVED)
def test_a_consumer_reads_the_same_in_every_version_of_the_api(
    kubectl: Kubectl, namespace: str, version: str, kind: str, written: str
) -> None:
    asked = referring(kind, namespace, "string") | {"apiVersion": f"toolhive.stacklok.dev/{written}"}
    kubectl.api.create(asked)
    read = [kubectl.api.get(replace(RESOURCES[kind], version=served), namespace, "srv") for served in SERVED]
    assert [each["apiVersion"] for each in read] == [f"toolhive.stacklok.dev/{served}" for served in SERVED]
    assert read[0]["spec"] == read[1]["spec"]
    assert read[0]["spec"]["sessionStorage"]["keyPrefix"] == key_prefix(kind, namespace, "srv")
    older = replace(RESOURCES[kind], version=written)
    kubectl.api.change(older, namespace, "srv", {"spec": {"sessionStorageRef": None}})
    assert "sessionStorage" not in found(kubectl, kind, namespace)["spec"]


@pytest.mark.parametrize("written", SERVED)
def test_an_auth_server_is_connected_in_every_version_of_the_api(
    kubectl: Kubectl, namespace: str, version: str, written: str
) -> None:
    for kind, spec, where in (
        ("MCPExternalAuthConfig", auth_config(), "embeddedAuthServer"),
        ("VirtualMCPServer", virtual_server(), "authServerConfig"),
    ):
        asked: Object = {
            "apiVersion": f"toolhive.stacklok.dev/{written}",
            "kind": kind,
            "metadata": {"name": "login", "namespace": namespace},
            "spec": {**spec, "sessionStorageRef": "mine"},
        }
        kubectl.api.create(asked)
        for served in SERVED:
            stored = kubectl.api.get(replace(RESOURCES[kind], version=served), namespace, "login")["spec"][where]
            assert stored["storage"]["redis"]["addr"] == f"mine-valkey.{namespace}.svc:6379"


def test_consumers_survive_the_upgrade_to_this_release(kubectl: Kubectl, namespace: str, version: str) -> None:
    for kind in KINDS:
        kubectl.api.create(referring(kind, namespace, "string"))
    before = {kind: found(kubectl, kind, namespace) for kind in KINDS}
    install(kubectl, version)
    for kind in KINDS:
        # ToolHive's operator and users write while the field is missing, or just back.
        change(kubectl, kind, namespace, {"metadata": {"labels": {"a": "b"}}})
        change(kubectl, kind, namespace, {"spec": {"replicas": 2}})
    for plural in EXTENDED_PLURALS:
        eventually(partial(is_extended, kubectl, plural), seconds=FIELD_BACK_SECONDS, what=f"{plural} has the field")
    for kind in KINDS:
        after = found(kubectl, kind, namespace)
        assert after["spec"]["sessionStorage"] == before[kind]["spec"]["sessionStorage"]
        assert after["spec"].get("podTemplateSpec") == before[kind]["spec"].get("podTemplateSpec")
        assert RECORD in after["metadata"]["annotations"]


def make_secret(kubectl: Kubectl, namespace: str, **values: str) -> None:
    metadata = {"name": "theirs", "namespace": namespace}
    data = {key.replace("_", "."): value for key, value in values.items()}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})


def test_tls_is_written_where_it_is_served_and_nowhere_else(kubectl: Kubectl, namespace: str, version: str) -> None:
    authority = bundle_pem([issue.issue_authority(datetime.now(UTC)).certificate]).decode()
    make_secret(kubectl, namespace, password=PASSWORD, ca_crt=authority)
    kubectl.api.apply(storage("mine", namespace, external={"url": "rediss://127.0.0.1:1", "secretRef": "theirs"}))
    reason = "TlsWithCa" if VERSIONS[version] else "TlsNotSupported"
    await_reason(kubectl, namespace, "mine", reason, "ProxiesSupported")
    expected = {"caCertSecretRef": {"name": "mine-connection", "key": "ca.crt"}} if VERSIONS[version] else None
    for kind in KINDS:
        asked = json.dumps(referring(kind, namespace, "string"))
        eventually(partial(speaks, kubectl, asked, expected), what=f"{kind} is connected by the fields that are served")
        kubectl("create", "-f", "-", stdin=asked)
        assert ("sessionStorage" in found(kubectl, kind, namespace)["spec"]) == VERSIONS[version]


def speaks(kubectl: Kubectl, manifest: str, tls: object) -> bool:
    """Return whether a consumer would be connected with these TLS settings; only by its environment, if with none."""
    said = kubectl.warns("create", "--dry-run=server", "-f", "-", stdin=manifest)
    made = json.loads(kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=manifest))
    native = made["spec"].get("sessionStorage")
    return (native["tls"] == tls) if tls else (native is None and "(TlsNotSupported)" in said)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "rediss://127.0.0.1:1"])
def test_a_user_name_is_never_written(kubectl: Kubectl, namespace: str, version: str, url: str) -> None:
    make_secret(kubectl, namespace, password=PASSWORD, username="ann")
    kubectl.api.apply(storage("mine", namespace, external={"url": url, "secretRef": "theirs"}))
    await_reason(kubectl, namespace, "mine", "UserNameNotSupported", "ProxiesSupported")
    for kind in KINDS:
        kubectl.api.create(referring(kind, namespace, "string"))
        stored = found(kubectl, kind, namespace)
        assert "sessionStorage" not in stored["spec"]
        assert "ann" not in json.dumps(stored["spec"])

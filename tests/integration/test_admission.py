"""What a real API server stores and tells users, given the webhook's answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from shared.objects.resources import Object
from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import ANNOTATION, RECORD, await_injection, defaults, injected_fields, server, stored
from tests.integration.processes import ROOT, Process, eventually
from tests.integration.storages import await_ready, await_reason, condition, read, status, storage
from tests.support.kept import is_kept

QUICKSTART = ROOT / "deploy" / "samples" / "00-quickstart.yaml"
PROPOSAL = sorted(set(QUICKSTART.parent.glob("*.yaml")) - {QUICKSTART})
GOLDEN = ROOT / "tests" / "golden"
OF_USERS = ("command-and-volume-without-source", "vault-agent-template", "service-account-and-field-reference")
"""Recorded cases whose manifests are shaped like those that users have published."""
EXTERNAL = {"url": "redis://there:6379", "secretRef": "auth"}


@pytest.fixture(autouse=True)
def _injecting(processes: dict[str, Process], kubectl: Kubectl) -> None:
    del processes
    await_injection(kubectl)


@pytest.fixture
def samples(kubectl: Kubectl) -> Iterator[dict[str, str]]:
    """Apply every manifest of the proposal unchanged, in its own namespace; yield kubectl's output for each."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "toolhive-system"}})
    yield {path.stem: kubectl.warns("apply", "--validate=strict", "-f", str(path)) for path in PROPOSAL}
    kubectl("delete", "mcpservers", "--all", "--all-namespaces")

    def are_gone() -> bool:
        """Delete the objects; this fails until the webhook has learnt that a storage's consumers are gone."""
        for path in PROPOSAL:
            kubectl("delete", "--ignore-not-found", "-f", str(path))
        return True

    eventually(are_gone, what="the manifests' objects are gone")


def apply(kubectl: Kubectl, *objects: Object) -> str:
    """Apply as users do, and return kubectl's warnings."""
    return kubectl.warns("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


def version_of(obj: Object) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version


def test_every_manifest_of_the_proposal_is_stored_as_written(kubectl: Kubectl, samples: dict[str, str]) -> None:
    assert set(samples) == {"01-simple", "02-production", "03-external", "04-autoscaling", "shared-storage"}
    for path in PROPOSAL:
        for asked in yaml.safe_load_all(path.read_text()):
            if asked["kind"] == "SessionStorage":
                namespace = asked["metadata"].get("namespace", "default")
                assert read(kubectl, "sessionstorage", asked["metadata"]["name"], namespace)["spec"] == asked["spec"]
    assert "Warning: spec.size is ignored, because spec.external is set" in samples["shared-storage"]
    # They leave the transport out; ToolHive's default for it allows one proxy, so the webhook warns.
    for name in ("01-simple", "02-production", "03-external"):
        assert "Warning: spec.transport is stdio" in samples[name]
    assert samples["02-production"].count("SessionStorage") == 1
    assert samples["04-autoscaling"] == ""


def test_the_readmes_first_example_applies_without_a_warning(kubectl: Kubectl, namespace: str) -> None:
    """It costs about a second: one `kubectl apply`, and no pod."""
    assert kubectl.warns("apply", "--validate=strict", "-n", namespace, "-f", str(QUICKSTART)) == ""
    connected = read(kubectl, "mcpserver", "fetch", namespace)["spec"]["sessionStorage"]
    assert connected["address"] == f"sessions-valkey.{namespace}.svc:6379"


def test_a_condition_names_what_the_proposals_manifests_leave_out(kubectl: Kubectl, samples: dict[str, str]) -> None:
    assert condition(kubectl, "toolhive-system", "prod-storage", "ConsumersAdmitted") == {}
    assert await_reason(kubectl, "default", "external-storage", "DnsFailed")["status"] == "False"
    await_reason(kubectl, "toolhive-system", "shared-storage", "SecretNotFound")
    # The manifest said Ready, and that this Secret exists.
    claimed = status(kubectl, "toolhive-system", "shared-storage")
    assert claimed["phase"] == "Pending"
    assert "connectionSecret" not in claimed


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
@pytest.mark.parametrize("parts", [(), ("name",), ("name", "namespace")], ids=["string", "name", "name and namespace"])
def test_a_server_is_stored_with_all_that_it_needs(
    kubectl: Kubectl, namespace: str, version: str, parts: tuple[str, ...]
) -> None:
    full = {"name": "mine", "namespace": namespace}
    reference = {part: full[part] for part in parts} or "mine"
    plain = defaults(kubectl)
    kubectl.api.create(server(namespace, version, sessionStorageRef=reference))
    for served in ("v1alpha1", "v1beta1"):
        found = stored(kubectl, namespace, served)
        assert found["apiVersion"] == f"toolhive.stacklok.dev/{served}"
        assert found["spec"] == {**plain, "sessionStorageRef": reference, **injected_fields("mine", namespace)}
        assert set(found["metadata"]["annotations"]) == {RECORD}


def test_a_server_in_another_namespace_reads_the_mirrored_secret(kubectl: Kubectl, namespace: str) -> None:
    apply(kubectl, server(namespace, sessionStorageRef={"name": "mine", "namespace": "far"}))
    found = stored(kubectl, namespace)["spec"]["sessionStorage"]
    assert found["address"] == "mine-valkey.far.svc:6379"
    assert found["passwordRef"] == {"name": "far.mine-connection", "key": "REDIS_PASSWORD"}


def test_users_own_settings_stay_beside_the_injected_ones(kubectl: Kubectl, namespace: str) -> None:
    own = {"name": "mcp", "env": [{"name": "A", "value": "1"}], "envFrom": [{"configMapRef": {"name": "own"}}]}
    template = {"metadata": {"labels": {"own": "label"}}, "spec": {"containers": [own, {"name": "sidecar"}]}}
    apply(kubectl, server(namespace, sessionStorageRef="mine", podTemplateSpec=template))
    found = stored(kubectl, namespace)["spec"]["podTemplateSpec"]
    assert found["metadata"]["labels"] == {"own": "label", "toolhive.stacklok.dev/session-storage": "mine"}
    sources = [*own["envFrom"], {"secretRef": {"name": "mine-connection"}}]
    assert found["spec"]["containers"] == [{**own, "envFrom": sources}, {"name": "sidecar"}]


@pytest.mark.parametrize("case", OF_USERS)
def test_a_manifest_of_users_is_stored_as_recorded(kubectl: Kubectl, case: str) -> None:
    asked, recorded = (yaml.safe_load((GOLDEN / case / f"{name}.yaml").read_text()) for name in ("consumer", "patched"))
    made = kubectl.api.create(asked, "--dry-run=server")
    assert is_kept(recorded["spec"], made["spec"])
    assert made["metadata"]["annotations"] == recorded["metadata"]["annotations"]


def test_an_annotation_connects_and_its_removal_disconnects(kubectl: Kubectl, namespace: str) -> None:
    plain = defaults(kubectl)
    kubectl.api.create(server(namespace, annotations={ANNOTATION: "mine"}))
    assert stored(kubectl, namespace)["spec"] == {**plain, **injected_fields("mine", namespace)}
    kubectl("annotate", "mcpserver", "srv", f"{ANNOTATION}-", "-n", namespace)
    found = stored(kubectl, namespace)
    assert found["spec"] == plain
    assert "annotations" not in found["metadata"]


def test_another_name_connects_anew_and_no_field_disconnects(kubectl: Kubectl, namespace: str) -> None:
    apply(kubectl, server(namespace, sessionStorageRef="mine"))
    apply(kubectl, server(namespace, sessionStorageRef="other"))
    plain = defaults(kubectl)
    assert stored(kubectl, namespace)["spec"] == {
        **plain, "sessionStorageRef": "other", **injected_fields("other", namespace)
    }  # fmt: skip
    apply(kubectl, server(namespace))
    assert stored(kubectl, namespace)["spec"] == plain


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_the_same_manifest_again_changes_nothing(kubectl: Kubectl, namespace: str, how: tuple[str, ...]) -> None:
    # The storage first: of a server whose storage is not there yet, the reconciler may write that a moment later.
    store = storage("mine", namespace, external=EXTERNAL)
    kubectl("apply", *how, "-f", "-", stdin=yaml.safe_dump(store))
    await_reason(kubectl, namespace, "mine", "SecretNotFound")
    manifests = yaml.safe_dump_all([server(namespace, sessionStorageRef="mine"), store])
    kubectl("apply", *how, "-f", "-", stdin=manifests)
    before = version_of(stored(kubectl, namespace)), version_of(read(kubectl, "sstore", "mine", namespace))
    kubectl("apply", *how, "-f", "-", stdin=manifests)
    kubectl("diff", *how, "-f", "-", stdin=manifests)
    assert before == (version_of(stored(kubectl, namespace)), version_of(read(kubectl, "sstore", "mine", namespace)))


def test_a_dry_run_shows_the_injected_fields_and_stores_nothing(kubectl: Kubectl, namespace: str) -> None:
    manifest = json.dumps(server(namespace, sessionStorageRef="mine"))
    shown = json.loads(kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=manifest))
    assert shown["spec"]["sessionStorage"] == injected_fields("mine", namespace)["sessionStorage"]
    assert kubectl("get", "mcpservers", "-n", namespace, "-o", "name") == ""


@pytest.mark.usefixtures("kubelet")
def test_a_server_may_come_before_its_storage(kubectl: Kubectl, namespace: str) -> None:
    said = apply(kubectl, server(namespace, sessionStorageRef="mine"))
    assert 'does not exist (yet): pods wait until Secret "mine-connection" exists' in said
    apply(kubectl, storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    wanted = stored(kubectl, namespace)["spec"]["sessionStorage"]["passwordRef"]
    assert wanted["key"] in read(kubectl, "secret", wanted["name"], namespace)["data"]
    scalable = server(namespace, sessionStorageRef="mine", transport="streamable-http", mcpPort=8080)
    eventually(
        lambda: apply(kubectl, scalable) == "",
        what="the webhook no longer warns",
    )


def test_a_server_without_a_reference_is_left_as_it_is(kubectl: Kubectl, namespace: str) -> None:
    template = {"spec": {"containers": [{"name": "mcp", "env": []}]}}
    kubectl.api.create(server(namespace, podTemplateSpec=template))
    found = stored(kubectl, namespace)
    assert found["spec"] == {**defaults(kubectl), "podTemplateSpec": template}
    assert "annotations" not in found["metadata"]


def test_a_session_storage_field_that_contradicts_the_storage_is_refused(kubectl: Kubectl, namespace: str) -> None:
    manifest = server(namespace, sessionStorageRef="mine", sessionStorage={"provider": "memory"})
    said = kubectl.fails("apply", "-f", "-", stdin=json.dumps(manifest))
    assert f'spec.sessionStorage.provider: Invalid value: SessionStorage "{namespace}/mine" needs "redis" here' in said


def test_kubectl_explains_the_field_in_toolhives_schema(kubectl: Kubectl) -> None:
    eventually(
        lambda: (
            "SessionStorage to keep this server's sessions" in kubectl("explain", "mcpserver.spec.sessionStorageRef")
        ),
        what="kubectl explains the field",
    )

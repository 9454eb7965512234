"""What the page on platforms tells meshes about a storage is what a storage has."""

from __future__ import annotations

from reconciler.manifests import services
from reconciler.manifests.storage import Storage
from reconciler.plan import desired_objects
from shared import names
from shared.objects.resources import Object
from shared.session_storage.models import SessionStorageSpec
from shared.session_storage.sizes import Size
from tests.support.pages import PLATFORMS, shown
from tests.support.simulated import SETTINGS
from tests.support.storages import observed

RULE = shown(PLATFORMS, "DestinationRule")
STORAGE = Storage(RULE["metadata"]["name"], RULE["metadata"]["namespace"], "uid-1")
"""The storage of the page's example, whose name the rule has."""


def host_of(service: Object) -> str:
    """Name a Service as Istio's rules do, with the default domain of clusters."""
    metadata = service["metadata"]
    return f"{metadata['name']}.{metadata['namespace']}.svc.cluster.local"


def test_the_destination_rule_is_for_the_service_that_clients_dial() -> None:
    host = RULE["spec"]["host"]
    assert host == host_of(services.primary_service(STORAGE))
    assert host.startswith(f"{names.valkey_host(STORAGE.name, STORAGE.namespace)}.")
    assert RULE["spec"]["trafficPolicy"] == {"tls": {"mode": "DISABLE"}}


def test_the_page_names_the_service_that_needs_a_second_rule() -> None:
    replicas = services.replicas_service(STORAGE)["metadata"]["name"]
    assert f"second one, for `{replicas}`" in PLATFORMS.read_text()


def test_the_peer_authentication_selects_valkeys_pods_and_opens_their_port() -> None:
    rule = shown(PLATFORMS, "PeerAuthentication")["spec"]
    spec = SessionStorageSpec(size=Size.LARGE)
    template = desired_objects.workload(observed("large"), spec, 0, SETTINGS)["spec"]["template"]
    assert rule["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert list(rule["portLevelMtls"]) == [str(port["containerPort"]) for port in container["ports"]]
    assert rule["portLevelMtls"][str(names.VALKEY_PORT)] == {"mode": "PERMISSIVE"}

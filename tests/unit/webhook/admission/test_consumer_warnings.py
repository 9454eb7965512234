"""Which consumers get a warning, and above all which do not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply import passwords
from reconciler.credentials.login import Credentials
from reconciler.manifests.secrets import connection_secret, external_connection_secret
from reconciler.manifests.storage import Storage
from shared import names
from shared.consumers.targets import Target
from shared.session_storage.endpoint import Endpoint
from webhook.admission import consumers
from webhook.admission.review import AdmissionRequest

MANAGED: Any = {"metadata": {"name": "store", "namespace": "ns"}, "spec": {"size": "small"}}
KINDS = ("MCPServer", "MCPRemoteProxy", "VirtualMCPServer")


def external(
    support: str = "PlainTcp", namespace: str = "ns", *, url: str = "redis://there", login: Any = "auth"
) -> Any:
    return {
        "metadata": {"name": "store", "namespace": namespace},
        "spec": {"external": {"url": url, "secretRef": login}, "allowedNamespaces": ["ns"]},
        "status": {"conditions": [{"type": "ProxiesSupported", "reason": support}]},
    }


def warned(spec: Any, kind: str = "MCPServer", storage: Any = MANAGED, target: Target = Target.ALL) -> list[str]:
    """Return the first word of each warning, which is the field that it is about."""
    where = storage["metadata"]["namespace"]
    reference = {"sessionStorageRef": {"name": "store", "namespace": where}}
    obj = {"kind": kind, "metadata": {"name": "srv", "namespace": "ns"}, "spec": {**reference, **spec}}
    request = AdmissionRequest("1", "CREATE", "ns", "", obj, None)
    decision = consumers.decide(consumers.ConsumerWrite.of(request), {(where, "store"): storage}, target)
    return [warning.split()[0] for warning in decision.warnings]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"replicas": 2, "sessionAffinity": "ClientIP"}, ["spec.sessionAffinity"], id="sticks"),
        pytest.param({"replicas": 2, "sessionAffinity": "None"}, [], id="spreads"),
        pytest.param({"replicas": 1, "sessionAffinity": "ClientIP"}, [], id="one replica"),
        pytest.param({"replicas": 0, "sessionAffinity": "ClientIP"}, [], id="no replica"),
        pytest.param({"sessionAffinity": "ClientIP"}, ["spec.sessionAffinity"], id="left to an autoscaler"),
        pytest.param({"replicas": None, "sessionAffinity": "ClientIP"}, ["spec.sessionAffinity"], id="no number"),
        pytest.param({"sessionAffinity": "None"}, [], id="left to an autoscaler, spreads"),
        pytest.param({"replicas": 2}, [], id="a schema that knows no affinity"),
        pytest.param({"replicas": "2", "sessionAffinity": "ClientIP"}, [], id="a word for a number"),
        pytest.param({"replicas": True, "sessionAffinity": ["ClientIP"]}, [], id="nonsense"),
    ],
)
def test_affinity_gets_a_warning_where_it_keeps_replicas_from_sharing_the_load(
    kind: str, spec: Any, expected: list[str]
) -> None:
    assert warned(spec, kind) == expected


@pytest.mark.parametrize("spec", [{"replicas": 2, "sessionAffinity": "ClientIP"}, {"transport": "stdio"}])
def test_affinity_gets_no_warning_where_proxies_keep_sessions_in_memory(spec: Any) -> None:
    assert warned(spec, target=Target.BACKEND) == []
    assert warned(spec, storage=external("UserNameNotSupported")) == ["SessionStorage"]


def test_affinity_gets_no_warning_with_stdio_which_has_one_proxy() -> None:
    assert warned({"transport": "stdio", "replicas": 2, "sessionAffinity": "ClientIP"}) == ["spec.transport"]


@pytest.mark.parametrize("transport", ["streamable-http", "sse", None, 5])
def test_transports_that_scale_get_no_warning(transport: Any) -> None:
    assert warned({"transport": transport}) == []


@pytest.mark.parametrize(
    ("support", "url", "namespace", "expected"),
    [
        pytest.param("PlainTcp", "redis://there", "far", ["SessionStorage"], id="plain, elsewhere"),
        pytest.param("PlainTcp", "redis://there", "ns", [], id="plain, here"),
        pytest.param("TlsWithCa", "rediss://there", "far", [], id="TLS, elsewhere"),
    ],
)
def test_another_namespaces_storage_without_tls_gets_a_warning(
    support: str, url: str, namespace: str, expected: list[str]
) -> None:
    assert warned({}, storage=external(support, namespace, url=url)) == expected


def container(name: str, *variables: str) -> Any:
    own = {"name": name, "env": [{"name": variable} for variable in variables]}
    return {"podTemplateSpec": {"spec": {"containers": [own]}}}


def proxy(*variables: str) -> Any:
    return {"resourceOverrides": {"proxyDeployment": {"env": [{"name": variable} for variable in variables]}}}


IN_PROXY = "spec.resourceOverrides.proxyDeployment.env[REDIS_URL]"
IN_TEMPLATE = "spec.podTemplateSpec.spec.containers[{}].env[REDIS_URL]"


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        pytest.param("MCPServer", {"env": [{"name": "REDIS_URL"}]}, "spec.env[REDIS_URL]", id="env"),
        pytest.param("MCPServer", {"secrets": [{"name": "a", "key": "REDIS_URL"}]}, "spec.secrets[a]", id="by key"),
        pytest.param("MCPServer", container("mcp", "REDIS_URL"), IN_TEMPLATE.format("mcp"), id="template"),
        pytest.param("MCPServer", proxy("REDIS_URL"), IN_PROXY, id="proxy"),
        pytest.param("MCPRemoteProxy", proxy("REDIS_URL"), IN_PROXY, id="proxy of a remote server"),
        pytest.param(
            "MCPRemoteProxy", container("toolhive", "REDIS_URL"), IN_TEMPLATE.format("toolhive"), id="its template"
        ),
        pytest.param("VirtualMCPServer", container("vmcp", "REDIS_URL"), IN_TEMPLATE.format("vmcp"), id="virtual"),
    ],
)
def test_a_variable_that_hides_ours_is_named_with_its_place(kind: str, spec: Any, expected: str) -> None:
    assert warned(spec, kind) == [expected]
    assert warned(spec, kind, target=Target.NONE) == []


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param("MCPServer", container("sidecar", "REDIS_URL"), id="a sidecar"),
        pytest.param("MCPServer", container("toolhive", "REDIS_URL"), id="another kind's container"),
        pytest.param(
            "MCPServer",
            {"secrets": [{"name": "a", "key": "REDIS_URL", "targetEnvName": "MINE"}]},
            id="a key by another name",
        ),
        pytest.param(
            "MCPServer", {"env": [{"name": "OTHER"}, {"name": "REDIS_USERNAME"}, {"name": 5}, None]}, id="own"
        ),
        pytest.param("MCPServer", {"env": [{"name": []}], "secrets": [{"key": {}}, 5], **proxy()}, id="nonsense"),
        pytest.param("MCPServer", {"env": "REDIS_URL", "secrets": {"key": "REDIS_URL"}}, id="no lists"),
        pytest.param("VirtualMCPServer", {"env": [{"name": "REDIS_URL"}]}, id="no field of this kind"),
    ],
)
def test_a_variable_that_hides_nothing_gets_no_warning(kind: str, spec: Any) -> None:
    assert warned(spec, kind) == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["REDIS_URL", "ClientIP", "stdio", ""]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "key", "targetEnvName", "env"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = ("env", "secrets", "replicas", "sessionAffinity", "transport")


@given(st.sampled_from(KINDS), st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything)), anything)
def test_no_consumer_makes_the_warnings_raise(kind: str, spec: Any, proxy_env: Any) -> None:
    overrides = {"resourceOverrides": {"proxyDeployment": {"env": proxy_env}}}
    assert all(word.startswith("spec.") for word in warned({**spec, **overrides}, kind))


def test_only_parts_that_are_connected_get_the_warning_of_hidden_variables() -> None:
    spec = {"env": [{"name": "REDIS_URL"}], **proxy("REDIS_URL")}
    assert warned(spec, target=Target.BACKEND) == ["spec.env[REDIS_URL]"]
    assert warned(spec, target=Target.PROXY) == [IN_PROXY]


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        pytest.param("auth", ["REDIS_URL", "REDIS_USERNAME", "REDIS_PASSWORD", "ca.crt"], id="with a Secret"),
        pytest.param(None, ["REDIS_URL"], id="without"),
    ],
)
def test_an_external_storage_may_inject_further_variables(login: Any, expected: list[str]) -> None:
    spec = {"env": [{"name": name} for name in ("REDIS_URL", "REDIS_USERNAME", "REDIS_PASSWORD", "ca.crt")]}
    assert warned(spec, storage=external(login=login)) == [f"spec.env[{name}]" for name in expected]


def test_the_warning_knows_every_variable_of_the_connection_secrets() -> None:
    storage = Storage("store", "ns", "uid")
    endpoint = Endpoint("there", 6379, 0, is_tls=True)
    managed = connection_secret(storage, passwords.generate())
    full = external_connection_secret(storage, endpoint, Credentials("me", "secret", "ca"))
    bare = external_connection_secret(storage, endpoint, Credentials())
    assert managed["data"].keys() == names.CONNECTION_KEYS
    assert full["data"].keys() == names.EXTERNAL_CONNECTION_KEYS
    assert bare["data"].keys() == names.OPEN_CONNECTION_KEYS

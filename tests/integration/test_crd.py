"""A real API server enforces the CRD's schema and rules without the webhook.

The tests use kube-system, the one namespace that the webhook never sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import server
from tests.integration.processes import ROOT
from tests.integration.storages import read, status, storage

CRD = "sessionstorages.toolhive.stacklok.dev"
UNSEEN = "kube-system"
PASSWORD = "hunter2hunter2"
NAME_RULE = "metadata.name must be at most 40 lower-case letters, digits or '-'"
URL_RULE = "spec.external.url: Forbidden: must be redis://host[:port][/db]"

pytestmark = pytest.mark.usefixtures("chart")


@pytest.fixture
def unseen(kubectl: Kubectl) -> Iterator[str]:
    yield UNSEEN
    kubectl("delete", "sessionstorages", "--all", "-n", UNSEEN)


def refused(kubectl: Kubectl, obj: object) -> str:
    return kubectl.fails("create", "--validate=ignore", "-f", "-", stdin=json.dumps(obj))


def test_the_api_server_accepts_the_crd_without_complaint(kubectl: Kubectl) -> None:
    manifest = str(ROOT / "deploy/chart/files/sessionstorages.crd.yaml")
    assert kubectl.warns("apply", "--server-side", "--validate=strict", "-f", manifest) == ""
    conditions = {
        item["type"]: item["status"]
        for item in json.loads(kubectl("get", "crd", CRD, "-o", "json"))["status"]["conditions"]
    }
    assert conditions == {"Established": "True", "NamesAccepted": "True"}


def test_storages_are_listed_by_short_name_and_by_category(kubectl: Kubectl, unseen: str) -> None:
    kubectl.api.create(storage("mine", unseen, size="small"))
    kubectl.api.create(server(unseen))
    try:
        assert kubectl("get", "sstore", "-n", unseen, "-o", "name") == f"sessionstorage.{CRD.partition('.')[2]}/mine\n"
        names = kubectl("get", "toolhive", "-n", unseen, "-o", "name").split()
        assert {name.partition(".")[0] for name in names} == {"sessionstorage", "mcpserver"}
    finally:
        kubectl("delete", "mcpserver", "srv", "-n", unseen)


def test_kubectl_get_shows_the_columns_that_people_need_first(kubectl: Kubectl, unseen: str) -> None:
    kubectl.api.create(storage("mine", unseen, size="small"))
    columns = ["NAME", "SIZE", "READY", "PHASE", "INSTANCES", "PRIMARY", "REASON", "AGE"]
    assert kubectl("get", "sstore", "-n", unseen).splitlines()[0].split() == columns
    wide = kubectl("get", "sstore", "-n", unseen, "--output=wide").splitlines()[0]
    assert wide.split() == [*columns, "SECRET", "MESSAGE"]


def test_status_can_be_written_only_through_its_subresource(kubectl: Kubectl, unseen: str) -> None:
    external = {"url": "redis://there", "secretRef": "absent"}
    obj = storage("mine", unseen, external=external)
    kubectl.api.create({**obj, "status": {"phase": "Ready", "primary": "nobody"}})
    assert status(kubectl, unseen, "mine").get("primary") is None
    patch = json.dumps({"status": {"primary": "nobody"}, "spec": {"external": {"url": "redis://elsewhere"}}})
    kubectl("patch", "sstore", "mine", "-n", unseen, "--subresource=status", "--type=merge", "-p", patch)
    assert read(kubectl, "sstore", "mine", unseen)["spec"]["external"] == external


def test_an_unchanged_size_never_blocks_an_update(kubectl: Kubectl, unseen: str) -> None:
    """The running instances may have a larger disk than the size asks for, if they are older than the storage."""
    kubectl.api.create(storage("mine", unseen, size="small"))
    for size in ("large", "medium"):
        patch = json.dumps({"status": {"size": size}})
        kubectl("patch", "sstore", "mine", "-n", unseen, "--subresource=status", "--type=merge", "-p", patch)
        kubectl("annotate", "sstore", "mine", "-n", unseen, "--overwrite", f"seen={size}")


@pytest.mark.parametrize("name", ["x" * 41, "1st", "with.dot"])
def test_a_name_that_services_cannot_have_is_refused(kubectl: Kubectl, name: str) -> None:
    assert NAME_RULE in refused(kubectl, storage(name, UNSEEN, size="small"))


@pytest.mark.parametrize(
    "external",
    [
        pytest.param({"url": f"redis://:{PASSWORD}@there:6379"}, id="password"),
        pytest.param({"url": f"redis://user:{PASSWORD}@there:6379/0"}, id="user and password"),
        pytest.param({"url": f"redis://there?password={PASSWORD}"}, id="in the query"),
        pytest.param({"url": f"redis://:{PASSWORD}@{'x' * 600}"}, id="too long"),
        pytest.param({"url": [f"redis://:{PASSWORD}@there"]}, id="in an array"),
        pytest.param(f"redis://:{PASSWORD}@there", id="in place of the object"),
    ],
)
@pytest.mark.parametrize("name", ["mine", "1st"])
def test_no_error_repeats_a_password(kubectl: Kubectl, name: str, external: Any) -> None:
    said = refused(kubectl, storage(name, UNSEEN, external=external))
    assert "spec.external" in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    "reference", ["theirs", {"name": "theirs"}, {"name": "theirs", "passwordKey": "pw", "hostKey": "HOST"}], ids=str
)
def test_a_secret_is_named_by_a_string_or_an_object_however_it_is_applied(
    kubectl: Kubectl, unseen: str, reference: Any
) -> None:
    external = {"url": "redis://there", "secretRef": reference}
    kubectl.api.create(storage("created", unseen, external=external))
    asked = json.dumps(storage("applied", unseen, external=external))
    assert kubectl.warns("apply", "--server-side", "--validate=strict", "-f", "-", stdin=asked) == ""
    assert kubectl.warns("apply", "--server-side", "--validate=strict", "-f", "-", stdin=asked) == ""
    for name in ("created", "applied"):
        assert read(kubectl, "sstore", name, unseen)["spec"]["external"] == external


def test_one_may_change_into_the_other_in_place(kubectl: Kubectl, unseen: str) -> None:
    for reference in ("theirs", {"name": "theirs", "passwordKey": "pw"}, "theirs-too"):
        external = {"url": "redis://there", "secretRef": reference}
        asked = json.dumps(storage("mine", unseen, external=external))
        kubectl("apply", "--server-side", "-f", "-", stdin=asked)
        assert read(kubectl, "sstore", "mine", unseen)["spec"]["external"] == external


def test_an_external_storage_needs_an_address_or_a_secret(kubectl: Kubectl, unseen: str) -> None:
    assert "spec.external in body should have at least 1 properties" in refused(
        kubectl, storage("mine", unseen, external={"uri": f"redis://:{PASSWORD}@there"})
    )
    kubectl.api.create(storage("mine", unseen, external={"secretRef": "theirs"}))


@pytest.mark.parametrize("url", ["redis://there:6379/", "REDISS://Cache.example.com/3", "valkey://[2001:DB8::5]/"])
def test_urls_as_people_have_them_pass_the_schema(kubectl: Kubectl, unseen: str, url: str) -> None:
    kubectl.api.create(storage("mine", unseen, external={"url": url}))
    assert read(kubectl, "sstore", "mine", unseen)["spec"]["external"] == {"url": url}


def test_kubectl_explains_the_keys_of_a_secret(kubectl: Kubectl) -> None:
    said = kubectl("explain", "sessionstorage.spec.external.secretRef")
    for field in ("name", "passwordKey", "usernameKey", "caKey", "urlKey", "hostKey", "portKey", "tlsKey"):
        assert f"\n  {field}\t<string>" in said
    assert "its name, or an object with its name and the keys" in said.replace("\n    ", " ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"size": "small"}, {"external": {"url": "redis://there"}}, id="to external"),
        pytest.param({"external": {"url": "redis://there"}}, {"size": "small"}, id="to managed"),
        pytest.param({"external": {"url": "redis://there"}}, {}, id="to nothing"),
    ],
)
def test_a_storage_stays_managed_or_external(kubectl: Kubectl, unseen: str, before: Any, after: Any) -> None:
    kubectl.api.create(storage("mine", unseen, **before))
    # A patch, because the reconciler writes the same object: the API server retries a patch where a PUT would conflict.
    patch = json.dumps([{"op": "replace", "path": "/spec", "value": after}])
    said = kubectl.fails("patch", "sstore", "mine", "-n", unseen, "--type=json", "-p", patch)
    assert "a storage cannot change between managed and external in place: create a new SessionStorage" in said


@pytest.mark.parametrize("every", ["59m", "", "30d", "1h30s", "-2h", "1.5h"])
def test_the_schema_refuses_a_schedule_under_an_hour_or_in_another_format(
    kubectl: Kubectl, unseen: str, every: str
) -> None:
    said = refused(kubectl, storage("mine", unseen, size="small", rotation={"every": every}))
    assert "must be a time of hours and minutes, such as 720h or 90m, and at least 1h" in said


@pytest.mark.parametrize("every", ["1h", "60m", "1h30m", "99999h"])
def test_the_schema_accepts_a_schedule_of_an_hour_or_more(kubectl: Kubectl, unseen: str, every: str) -> None:
    kubectl.api.create(storage("mine", unseen, size="small", rotation={"every": every}))
    assert read(kubectl, "sessionstorage", "mine", unseen)["spec"]["rotation"] == {"every": every}

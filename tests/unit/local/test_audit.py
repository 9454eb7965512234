"""What the API server notes down, and how tests read it; that it does so, integration and e2e tests show."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from deploy.demo.installation import NAMESPACE
from deploy.local import audit
from tests.support.audit import AuditLog

RECONCILER = f"system:serviceaccount:{NAMESPACE}:session-storage-reconciler"
TOOLHIVE = "system:serviceaccount:toolhive-system:toolhive-operator"


def event(user: str, verb: str, resource: str, subresource: str = "", name: str = "any") -> str:
    target = {"resource": resource, "namespace": "team", "name": name}
    if subresource:
        target["subresource"] = subresource
    return json.dumps({"user": {"username": user}, "verb": verb, "objectRef": target}) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    audit.install(tmp_path)
    return audit.log(tmp_path)


def test_the_api_server_is_given_files_that_are_there(tmp_path: Path) -> None:
    audit.install(tmp_path)
    policy, log = (Path(flag.partition("=")[2]) for flag in audit.flags(tmp_path))
    assert json.loads(policy.read_text()) == audit.POLICY
    assert log == audit.log(tmp_path)
    assert log.read_text() == ""


def test_a_cluster_that_comes_up_again_goes_on_with_its_log(tmp_path: Path, file: Path) -> None:
    file.write_text(event(RECONCILER, "patch", "services"))
    audit.install(tmp_path)
    assert AuditLog(file).since(0).total() == 1


@pytest.mark.parametrize("kind", ["pods", "endpointslices", "persistentvolumeclaims", "events", "any-other"])
def test_every_write_of_ours_counts_whatever_its_kind(file: Path, kind: str) -> None:
    file.write_text(event(RECONCILER, "delete", kind) + event(RECONCILER, "patch", kind, "status"))
    assert AuditLog(file).since(0) == Counter([f"delete {kind} team/any", f"patch {kind}/status team/any"])
    assert AuditLog(file).provoked_since(0) == Counter()


def test_what_others_write_is_not_ours_and_counts_where_it_may_be_because_of_us(file: Path) -> None:
    collector = "system:serviceaccount:kube-system:pod-garbage-collector"
    file.write_text(
        event(collector, "delete", "pods")
        + event(TOOLHIVE, "update", "mcpservers", "status")
        + event(TOOLHIVE, "update", "mcpservers")
        + event(TOOLHIVE, "update", "deployments")
    )
    assert AuditLog(file).since(0) == Counter()
    assert AuditLog(file).provoked_since(0) == Counter(
        [f"update mcpservers team/any by {TOOLHIVE}", f"update deployments team/any by {TOOLHIVE}"]
    )


def test_only_what_is_logged_after_a_position_counts(file: Path) -> None:
    log = AuditLog(file)
    file.write_text(event(RECONCILER, "create", "secrets", name="before"))
    position = log.position()
    with file.open("a") as more:
        more.write(event(RECONCILER, "create", "secrets", name="after"))
    assert log.since(position) == Counter(["create secrets team/after"])


def test_a_log_that_began_anew_is_not_taken_for_silence(file: Path) -> None:
    file.write_text(event(RECONCILER, "create", "secrets"))
    with pytest.raises(AssertionError, match="begun a new log"):
        AuditLog(file).since(10_000)

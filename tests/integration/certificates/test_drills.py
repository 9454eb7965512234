"""Drills of the webhook's certificates under a constant load of creates, none of which may fail."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.pki import issue
from tests.integration.certificates.deeds import (
    NAMES,
    THEIRS,
    delete,
    give_theirs,
    is_served,
    issuer_of,
    served_by,
    wipe_bundles,
)
from tests.integration.certificates.stage import (
    AUTHORITY,
    SERVING,
    Stage,
    assert_nobody_noticed,
)
from tests.integration.installation import NAMESPACE, chart_objects
from tests.integration.processes import Process, eventually

REPAIR_SECONDS = 5.0
"""Seconds for which creates may fail in faults that no design can hide."""
LONG_SECONDS = 8.0
"""Seconds; longer than API servers wait for an answer."""
UNSEEN = 'session_storage_webhook_pods_seen{serving="nothing"}'
RETIRING = 'session_storage_certificate_phase{phase="Retire"}'


def test_an_authority_is_rotated_when_somebody_asks_for_it(stage: Stage, reconciler: Process) -> None:
    before = stage.authority()
    with stage.users_at_work("CA rotation") as tally:
        stage.ask_for_rotation("once")
        stage.await_rotated(before)
    assert_nobody_noticed(tally)
    events = json.loads(stage.kubectl("get", "events.events.k8s.io", "-n", NAMESPACE, "-o", "json"))["items"]
    reasons = {event["reason"] for event in events if event["regarding"]["name"] == SERVING}
    assert reasons >= {"TrustNext", "Switch", "CertificateIssued", "Retire"}


def test_a_client_that_trusts_only_the_retired_authority_cannot_connect(stage: Stage, reconciler: Process) -> None:
    before = stage.authority()
    stage.ask_for_rotation("again")
    stage.await_rotated(before)
    for replica in stage.replicas:
        served_by(replica, stage.authority())
        with pytest.raises(ssl.SSLCertVerificationError):
            served_by(replica, before)


def test_openssl_accepts_chain_and_names(stage: Stage, reconciler: Process, tmp_path: Path) -> None:
    for name, content in {"ca": stage.authority(), "leaf": stage.entry(SERVING, "tls.crt")}.items():
        (tmp_path / name).write_bytes(content)
    for name in NAMES:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", str(tmp_path / "ca"), "-verify_hostname", name]
        done = subprocess.run([*command, str(tmp_path / "leaf")], capture_output=True, text=True, check=False)
        assert done.stdout == f"{tmp_path / 'leaf'}: OK\n", done.stderr
    shown = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "leaf", "-noout", "-ext", "subjectAltName"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert re.findall(r"DNS:(\S+?)(?:,|\s|$)", shown) == list(NAMES)


def test_a_frozen_pod_is_waited_for(stage: Stage, reconciler: Process) -> None:
    """The pod is frozen for less than the 5 s that API servers wait, and for less than the kubelet needs to notice."""
    before = stage.authority()
    frozen = stage.replicas[0]
    with stage.users_at_work("one webhook pod frozen for a while") as tally:
        frozen.freeze()
        try:
            stage.ask_for_rotation("while one is frozen")
            eventually(lambda: stage.count(reconciler, RETIRING) == 1, seconds=4, what="the rotation waits")
            assert stage.entry(AUTHORITY, "retired.crt") == before
            assert before in next(iter(stage.bundles()))
        finally:
            frozen.thaw()
        stage.await_rotated(before)
    assert_nobody_noticed(tally)


def test_a_pod_that_stays_frozen_is_routed_round_and_comes_back_with_the_new_leaf(
    stage: Stage, reconciler: Process
) -> None:
    """Connections to the frozen pod are lost: API servers wait on them for an answer until their time is up."""
    before = stage.authority()
    frozen = stage.replicas[0]
    with stage.users_at_work("one webhook pod frozen for long") as tally:
        frozen.freeze()
        try:
            stage.ask_for_rotation("while one stays frozen")
            eventually(lambda: stage.count(reconciler, UNSEEN) == 1, what="the frozen pod is not seen")
            stage.await_rotated(before)
            assert frozen.port not in stage.service.backends
            time.sleep(max(0.0, tally.begun + LONG_SECONDS - time.monotonic()))  # the fault under test: a long freeze
        finally:
            frozen.thaw()
        eventually(lambda: frozen.port in stage.service.backends, what="the thawed pod is ready again")
    served_by(frozen, stage.authority())
    assert "x509" not in " ".join(failure.said for failure in tally.failures)
    asked = [failure.asked for failure in tally.failures]
    assert max(asked, default=0) - min(asked, default=0) <= REPAIR_SECONDS


def test_pods_are_rolled_during_a_rotation(stage: Stage, replicas: None) -> None:
    before = stage.authority()
    old = list(stage.replicas)
    with (
        stage.supervised(stage.process("reconciler", "reconciler-0", DWELL="3s")),
        stage.users_at_work("webhook pods rolled during a CA rotation") as tally,
    ):
        stage.ask_for_rotation("while pods are rolled")
        for number, replica in enumerate(old):
            stage.add_replica(f"webhook-new-{number}")
            stage.remove_replica(replica)
        stage.await_rotated(before)
    assert_nobody_noticed(tally)


def test_a_replica_whose_clock_is_an_hour_late_serves_on(stage: Stage, reconciler: Process) -> None:
    late = stage.add_replica("webhook-late", "tests.integration.certificates.late_webhook")
    before = stage.authority()
    with stage.users_at_work("one replica an hour late") as tally:
        stage.ask_for_rotation("while one is late")
        stage.await_rotated(before)
        served_by(late, stage.authority())
        stage.remove_replica(late)
    assert_nobody_noticed(tally)


def test_a_deleted_serving_secret_comes_back(stage: Stage, reconciler: Process) -> None:
    before = stage.leaf()
    with stage.users_at_work("serving Secret deleted") as tally:
        delete(stage, SERVING)
        eventually(lambda: stage.leaf() != before and stage.is_stable(), what="another leaf")
    assert_nobody_noticed(tally)


def expired() -> dict[str, bytes]:
    long_ago = datetime.now(UTC) - timedelta(days=60)
    leaf = issue.issue_serving(issue.issue_authority(long_ago), NAMES, long_ago)
    return {"tls_crt": leaf.certificate_pem, "tls_key": leaf.key_pem}


UNUSABLE = {
    "emptied": {"tls_crt": b"", "tls_key": b"", "ca_crt": b""},
    "garbage": {"tls_crt": b"scribble", "tls_key": b"scribble", "ca_crt": b"scribble"},
    "another key": {"tls_key": issue.issue_authority(datetime.now(UTC)).key_pem},
    "expired": expired(),
}


@pytest.mark.parametrize("entries", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_serving_secret_is_replaced(stage: Stage, reconciler: Process, entries: dict[str, bytes]) -> None:
    before = stage.leaf()
    with stage.users_at_work(f"serving Secret unusable: {', '.join(entries)}") as tally:
        stage.edit_serving(**entries)
        eventually(lambda: stage.leaf() != before and stage.is_stable(), what="another leaf")
    assert_nobody_noticed(tally)


def test_a_deleted_ca_secret_is_replaced_without_distrusting_what_pods_serve(stage: Stage, reconciler: Process) -> None:
    before = stage.authority()
    with stage.users_at_work("CA Secret deleted") as tally:
        delete(stage, AUTHORITY)
        stage.await_rotated(before)
    assert_nobody_noticed(tally)


def test_both_secrets_are_replaced_when_both_are_lost(stage: Stage, reconciler: Process) -> None:
    before = stage.authority()
    with stage.users_at_work("both Secrets deleted") as tally:
        stage.kubectl("delete", "secret", AUTHORITY, SERVING, "-n", NAMESPACE)
        stage.await_rotated(before)
    assert_nobody_noticed(tally)


def test_a_wiped_bundle_is_restored_within_moments(stage: Stage, reconciler: Process) -> None:
    """API servers act on a wiped bundle as soon as they see it, and no admission guards webhook configurations."""
    (before,) = stage.bundles()
    with stage.users_at_work("caBundle wiped") as tally:
        wipe_bundles(stage)
        eventually(lambda: stage.bundles() == {before}, what="the bundle is back")
    assert tally.outage_seconds <= REPAIR_SECONDS
    assert all("x509" in failure.said for failure in tally.failures)


def test_everything_lost_at_once_is_restored_within_moments(stage: Stage, reconciler: Process) -> None:
    """No object names an authority any more, and no API server trusts the pods' certificates."""
    before = stage.authority()
    with stage.users_at_work("both Secrets and caBundle lost at once") as tally:
        os.kill(reconciler.pid, signal.SIGSTOP)
        stage.kubectl("delete", "secret", AUTHORITY, SERVING, "-n", NAMESPACE)
        wipe_bundles(stage)
        os.kill(reconciler.pid, signal.SIGCONT)
        stage.await_rotated(before)
    assert tally.outage_seconds <= REPAIR_SECONDS
    assert all("x509" in failure.said for failure in tally.failures)


def test_the_reconciler_is_killed_at_every_boundary_of_a_rotation(stage: Stage, replicas: None) -> None:
    before = stage.authority()

    def holds(entry: str) -> bool:
        return entry in stage.secret(AUTHORITY)["data"]

    boundaries = {
        "a successor is made": lambda: holds("next.crt"),
        "both are published": lambda: next(iter(stage.bundles())).count(b"BEGIN") == 2,
        "the successor takes over": lambda: holds("retired.crt"),
        "it has signed": lambda: stage.leaf().issuer != issuer_of(before),
        "the old one retires": lambda: not holds("retired.crt"),
    }
    with (
        stage.supervised(stage.process("reconciler", "reconciler-0", DWELL="500ms")) as process,
        stage.users_at_work("reconciler killed at every boundary") as tally,
    ):
        stage.ask_for_rotation("with a kill at every boundary")
        for boundary, is_reached in boundaries.items():
            eventually(is_reached, what=boundary)
            process.kill()
        stage.await_rotated(before)
    assert_nobody_noticed(tally)


def grant(stage: Stage, *values: str) -> None:
    """Give both accounts the rights that the chart grants with these values."""
    stage.kubectl.apply(*(obj for obj in chart_objects(*values) if obj["kind"] == "Role"))


def roll(stage: Stage, name: str, **environ: str) -> None:
    for number, replica in enumerate(list(stage.replicas)):
        stage.add_replica(f"{name}-{number}", **environ)
        stage.remove_replica(replica)


def test_an_installation_moves_to_certificates_of_others_follows_them_and_comes_back(
    stage: Stage, replicas: None
) -> None:
    now = datetime.now(UTC)
    first, second = issue.issue_authority(now), issue.issue_authority(now)
    give_theirs(stage, issue.issue_serving(first, NAMES[:1], now), first)
    environ = {"TLS_SECRET": THEIRS, "ISSUE_CERTIFICATES": "false"}
    with stage.users_at_work("moved to a Secret of others, followed it, and came back") as tally:
        grant(stage, f"certificates.existingSecret={THEIRS}")
        with stage.supervised(stage.process("reconciler", "reconciler-0", **environ)):
            eventually(lambda: first.certificate_pem in next(iter(stage.bundles())), what="theirs is trusted as well")
            roll(stage, "webhook-theirs", **environ)
            eventually(lambda: stage.bundles() == {first.certificate_pem}, seconds=40, what="theirs alone is trusted")
            renewed = issue.issue_serving(first, NAMES[:1], datetime.now(UTC))
            give_theirs(stage, renewed, first, second)
            eventually(lambda: is_served(stage, renewed.certificate), what="the renewed one is served")
            eventually(lambda: second.certificate_pem in next(iter(stage.bundles())), what="the next one is trusted")
            of_second = issue.issue_serving(second, NAMES[:1], datetime.now(UTC))
            give_theirs(stage, of_second, first, second)
            eventually(lambda: is_served(stage, of_second.certificate), what="the next one's is served")
        grant(stage)
        with stage.supervised(stage.process("reconciler", "reconciler-0", DWELL="500ms")):
            eventually(lambda: stage.authority() in next(iter(stage.bundles())), what="ours is trusted as well")
            roll(stage, "webhook-ours")
            stage.await_stable()
    assert_nobody_noticed(tally)

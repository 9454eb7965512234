"""Steps that show refusals: of a stranger by the NetworkPolicy, of a bad manifest by the webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

from deploy.demo import samples
from deploy.demo.errors import Surprise
from deploy.demo.kube import until
from deploy.demo.stage import NAMESPACE, STORAGE

if TYPE_CHECKING:
    from deploy.demo.kube import Kube
    from deploy.demo.stage import Stage

STRANGER: Final = "stranger"
ADMITTED_LABEL: Final = "toolhive.stacklok.dev/component"
PATIENCE_SECONDS: Final = 3
"""An admitted connection is answered within milliseconds; a refused one is dropped and never answered."""
ADMISSION_SECONDS: Final = 15
"""How long a network plugin may take to notice a new label."""


def turn_stranger_away(stage: Stage) -> None:
    """Let a pod try to talk to the store, first as a stranger, then with the label of a proxy."""
    stage.kube.apply(*samples.load(samples.OWN / "stranger.yaml", stage.images, NAMESPACE))
    stage.kube.run("label", "pod", STRANGER, f"{ADMITTED_LABEL}-", namespace=NAMESPACE)
    stage.kube.await_condition(f"pod/{STRANGER}", "condition=Ready", NAMESPACE)
    host = f"{STORAGE}-valkey.{NAMESPACE}.svc"
    stage.narrator.did(f"valkey-cli -h {host} ping, from a pod that is no proxy")
    until("the NetworkPolicy refuses the stranger", lambda: not answer(stage.kube, host), ADMISSION_SECONDS)
    stage.narrator.saw(f"no connection within {PATIENCE_SECONDS} s")
    stage.narrator.did(f"the same from the same pod, with label {ADMITTED_LABEL}=proxy")
    stage.kube.run("label", "pod", STRANGER, f"{ADMITTED_LABEL}=proxy", namespace=NAMESPACE)
    stage.narrator.saw(until("the NetworkPolicy admits a proxy", lambda: answer(stage.kube, host), ADMISSION_SECONDS))
    stage.kube.run("label", "pod", STRANGER, f"{ADMITTED_LABEL}-", namespace=NAMESPACE)


def answer(kube: Kube, host: str, namespace: str = NAMESPACE) -> str:
    """Return Valkey's answer to the stranger's PING; empty if the pod cannot reach it."""
    ping = f"timeout {PATIENCE_SECONDS} valkey-cli -h {host} ping 2>&1 || true"
    answered = kube.run("exec", STRANGER, "--", "sh", "-c", ping, namespace=namespace).strip()
    return "" if "Could not connect" in answered else answered


def refuse_bad_storage(stage: Stage) -> None:
    """Ask for a storage whose every field is wrong."""
    manifest = samples.OWN / "bad-storage.yaml"
    stage.narrator.did(f"kubectl apply -f deploy/demo/manifests/{manifest.name}")
    bad = samples.load(manifest, stage.images, NAMESPACE)
    message = stage.kube.refusal("apply", "-f", "-", stdin=yaml.safe_dump_all(bad))
    stage.narrator.saw(message or "it was accepted")
    missing = [field for field in ("metadata.name", "spec.size", "spec.external.url") if field not in message]
    if missing:
        raise Surprise(f"the refusal does not name {', '.join(missing)}")

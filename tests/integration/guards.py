"""Removes or changes the chart's admission webhooks and its policy for the length of a block."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from shared.objects.resources import Object
from tests.integration.control_plane import Kubectl
from tests.integration.installation import RELEASE

WEBHOOK = f"mutatingwebhookconfiguration/{RELEASE}-webhook"
BINDING = f"validatingadmissionpolicybinding/{RELEASE}-injection"


@contextlib.contextmanager
def without(kubectl: Kubectl, *names: str) -> Iterator[None]:
    """Delete objects while the block runs, and then put them back as they were."""
    saved = [json.loads(kubectl("get", name, "-o", "json")) for name in names]
    kubectl("delete", *names)
    try:
        yield
    finally:
        kubectl.apply(*map(_anew, saved))


@contextlib.contextmanager
def failing_open(kubectl: Kubectl) -> Iterator[None]:
    """Have the API server ignore webhooks that do not answer, as with `webhook.failurePolicy: Ignore`."""
    saved = json.loads(kubectl("get", WEBHOOK, "-o", "json"))["webhooks"]
    _set_policies(kubectl, ["Ignore"] * len(saved))
    try:
        yield
    finally:
        _set_policies(kubectl, [webhook["failurePolicy"] for webhook in saved])


def _set_policies(kubectl: Kubectl, policies: list[str]) -> None:
    paths = (f"/webhooks/{index}/failurePolicy" for index in range(len(policies)))
    operations = [
        {"op": "replace", "path": path, "value": policy} for path, policy in zip(paths, policies, strict=True)
    ]
    kubectl("patch", WEBHOOK, "--type=json", "-p", json.dumps(operations))


def _anew(obj: Object) -> Object:
    given = ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields")
    metadata = {key: value for key, value in obj["metadata"].items() if key not in given}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}

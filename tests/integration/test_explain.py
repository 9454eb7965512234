"""`kubectl explain` teaches every field of a SessionStorage. The file starts kubectl some 30 times: about 5 s."""

from __future__ import annotations

from typing import Final

import pytest

from tests.integration.control_plane import Kubectl

pytestmark = pytest.mark.usefixtures("chart")

KIND: Final = "sessionstorage"
WITHOUT_DESCRIPTION: Final = ("<no description>", "<empty>")
"""What kubectl prints where a schema has no description."""


def paths(recursive: str, top: str) -> list[str]:
    """List the paths of all fields that `kubectl explain --recursive` prints: one for each line, two spaces a level."""
    found: list[str] = []
    parents = [top]
    for line in recursive.partition("FIELDS:\n")[2].splitlines():
        name, tab, _ = line.partition("\t")
        if not tab:
            continue  # the values of an enumeration
        level = (len(name) - len(name.lstrip())) // 2
        parents = [*parents[:level], name.strip()]
        found.append(".".join(parents))
    return found


def description(explained: str) -> str:
    """Read the description of one field out of what `kubectl explain` prints of it alone."""
    return explained.partition("DESCRIPTION:\n")[2].partition("FIELDS:\n")[0].strip()


@pytest.mark.parametrize("top", ["spec", "status"])
def test_every_line_that_kubectl_explains_has_a_description(kubectl: Kubectl, top: str) -> None:
    listed = paths(kubectl("explain", f"{KIND}.{top}", "--recursive"), f"{KIND}.{top}")
    assert len(listed) >= {"spec": 5, "status": 30}[top]
    parents = {path.rpartition(".")[0] for path in listed}
    undescribed = []
    for path in sorted(parents):
        explained = kubectl("explain", path)
        own = {each for each in listed if each.rpartition(".")[0] == path}
        told = paths(explained, path)
        assert set(told) == own
        undescribed += [path for words in WITHOUT_DESCRIPTION if words in explained]
        assert len(description(explained)) > 20
    assert undescribed == []


@pytest.mark.parametrize("field", ["spec", "spec.external", "status.nodes"])
def test_both_versions_are_explained_alike(kubectl: Kubectl, field: str) -> None:
    said = [
        kubectl("explain", f"{KIND}.{field}", f"--api-version=toolhive.stacklok.dev/{version}").replace(version, "")
        for version in ("v1alpha1", "v1beta1")
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("status.rotation.consumersTotal", "Consumers that must restart to receive the new password."),
        ("status.primaryPod", "Pod of the primary, for kubectl logs and kubectl exec; absent while no"),
        ("status.instances", "such as 3/3."),
        ("spec.size", "large: three durable instances with failover."),
    ],
)
def test_kubectl_explains_a_field_without_riddles(kubectl: Kubectl, field: str, words: str) -> None:
    assert words in " ".join(kubectl("explain", f"{KIND}.{field}").split())

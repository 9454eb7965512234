"""The demonstration's messages, and the manifests that it and its users apply."""

from pathlib import Path

import pytest

from deploy.demo import samples
from deploy.demo.errors import Surprise
from deploy.demo.images import Images
from deploy.demo.narrator import Narrator, StepFailed
from shared.session_storage.models import parse_spec

IMAGES = Images.of({"PRODUCT_IMAGE": "registry.example.com:5000/product:1", "VALKEY_IMAGE": "v:1", "MCP_IMAGE": "m:1"})


def test_a_failure_names_its_step_and_the_reason() -> None:
    said: list[str] = []
    narrator = Narrator(said.append)
    with narrator.step("first"):
        narrator.saw("all is well")
    with pytest.raises(StepFailed, match=r"(?s)step 2 failed: second.*not the same session"), narrator.step("second"):
        raise Surprise("not the same session")
    assert said[:2] == ["\n1. first", "   > all is well"]
    assert [line for line in said if "took" in line] == [said[2]]


def test_the_port_of_a_registry_is_not_taken_for_a_tag() -> None:
    assert IMAGES.chart_values() == [
        "--set=image.repository=registry.example.com:5000/product,image.tag=1,valkey.image=v:1"
    ]


@pytest.mark.parametrize("manifest", sorted(samples.SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_samples_go_to_the_namespace_that_they_name_or_else_to_the_users(manifest: Path) -> None:
    printed = samples.load(manifest, IMAGES)
    for before, after in zip(printed, samples.load(manifest, IMAGES, "mine"), strict=True):
        assert after["metadata"] == {"namespace": before["metadata"].get("namespace", "mine"), **before["metadata"]}
        assert after["spec" if "spec" in after else "data"] == before["spec" if "spec" in before else "data"]


def test_samples_run_an_existing_image() -> None:
    servers = [
        obj
        for manifest in samples.SAMPLES.glob("*.yaml")
        for obj in samples.load(manifest, IMAGES)
        if obj["kind"] == "MCPServer"
    ]
    assert {server["spec"]["image"] for server in servers} == {"m:1"}


@pytest.mark.parametrize("manifest", sorted(samples.SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_storages_of_the_samples_are_sound(manifest: Path) -> None:
    for obj in samples.load(manifest, IMAGES):
        if obj["kind"] == "SessionStorage":
            assert parse_spec(obj)

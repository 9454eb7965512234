import dataclasses
import re

import pytest

from deploy.local import binaries
from deploy.local.binaries import PROGRAMS, Program

# Of which module each program is the version; pause is our own.
MODULE_OF = {
    "kubernetes": "k8s.io/kubernetes",
    "helm": "helm.sh/helm/v3",
    "coredns": "github.com/coredns/coredns",
    "local-path-provisioner": "github.com/rancher/local-path-provisioner",
    "thv-operator": "github.com/stacklok/toolhive",
    "thv-proxyrunner": "github.com/stacklok/toolhive",
    "vmcp": "github.com/stacklok/toolhive",
}


@pytest.mark.parametrize("name", MODULE_OF)
def test_a_program_calls_itself_what_the_module_file_pins(name: str) -> None:
    program = PROGRAMS[name]
    pins = (binaries.MODULES / program.module / "go.mod").read_text()
    assert re.search(rf"^\s*{re.escape(MODULE_OF[name])} {re.escape(program.version)}( |$)", pins, re.MULTILINE)


def test_every_kubernetes_library_is_of_the_same_release() -> None:
    pins = (binaries.MODULES / "cluster" / "go.mod").read_text()
    replaced = re.findall(r"^\s(k8s\.io/\S+) => \1 (\S+)$", pins, re.MULTILINE)
    assert {version for _, version in replaced} == {binaries.KUBERNETES_VERSION.replace("v1.", "v0.")}


def test_every_program_has_a_place_of_its_own() -> None:
    assert len({binaries.path(program) for program in PROGRAMS.values()}) == len(PROGRAMS)


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(PROGRAMS["helm"], version="v3.0.0"),
        dataclasses.replace(PROGRAMS["helm"], stamps={"main.version": "v3.0.0"}),
        dataclasses.replace(PROGRAMS["helm"], module="toolhive"),
    ],
    ids=["version", "stamps", "module"],
)
def test_a_program_made_of_something_else_lies_elsewhere(changed: Program) -> None:
    assert binaries.path(changed) != binaries.path(PROGRAMS["helm"])


def test_programs_of_one_module_are_built_by_one_command() -> None:
    assert binaries.batches([PROGRAMS["kubernetes"], PROGRAMS["helm"]]) == [[PROGRAMS["kubernetes"], PROGRAMS["helm"]]]


def test_a_program_that_go_takes_for_another_is_built_by_a_command_of_its_own() -> None:
    batches = binaries.batches(PROGRAMS.values())
    assert [PROGRAMS["local-path-provisioner"]] in batches
    assert sorted(program.name for batch in batches for program in batch) == sorted(PROGRAMS)

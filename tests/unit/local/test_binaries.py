import dataclasses
import re

import pytest

from deploy.local import binaries
from deploy.local.binaries import PROGRAMS, Program

# The module whose version each program has; pause is our own.
MODULE_OF = {
    "kubernetes": "k8s.io/kubernetes",
    "helm": "helm.sh/helm/v3",
    "coredns": "github.com/coredns/coredns",
    "local-path-provisioner": "github.com/rancher/local-path-provisioner",
    "thv-operator": "github.com/stacklok/toolhive",
    "thv-proxyrunner": "github.com/stacklok/toolhive",
    "vmcp": "github.com/stacklok/toolhive",
    "metrics-server": "sigs.k8s.io/metrics-server",
}


@pytest.mark.parametrize("name", MODULE_OF)
def test_a_programs_version_is_the_one_that_the_module_file_pins(name: str) -> None:
    program = PROGRAMS[name]
    pins = (binaries.MODULES / program.module / "go.mod").read_text()
    assert re.search(rf"^\s*{re.escape(MODULE_OF[name])} {re.escape(program.version)}( |$)", pins, re.MULTILINE)


def test_every_kubernetes_library_is_of_the_same_release() -> None:
    pins = (binaries.MODULES / "cluster" / "go.mod").read_text()
    replaced = re.findall(r"^\s(k8s\.io/\S+) => \1 (\S+)$", pins, re.MULTILINE)
    assert {version for _, version in replaced} == {binaries.KUBERNETES_VERSION.replace("v1.", "v0.")}


def required(module: str) -> dict[str, str]:
    text = (binaries.MODULES / module / "go.mod").read_text().partition("replace (")[0]
    return dict(re.findall(r"^\s(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))


def test_metrics_server_shares_all_libraries_with_the_cluster_but_those_that_it_needs_newer() -> None:
    cluster, metrics = required("cluster"), required("metrics")
    differing = {name for name in cluster.keys() & metrics.keys() if cluster[name] != metrics[name]}
    assert differing == {
        "github.com/fsnotify/fsnotify",
        "github.com/fxamacker/cbor/v2",
        "github.com/google/cel-go",
        "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc",
        "go.uber.org/zap",
        "golang.org/x/exp",
        "k8s.io/kube-openapi",
        "k8s.io/utils",
        "sigs.k8s.io/apiserver-network-proxy/konnectivity-client",
        "sigs.k8s.io/structured-merge-diff/v6",
    }


def test_both_modules_compile_nearly_all_common_libraries_in_one_version() -> None:
    cluster, toolhive = required("cluster"), required("toolhive")
    differing = {name for name in cluster.keys() & toolhive.keys() if cluster[name] != toolhive[name]}
    # Kubernetes' own libraries follow its release; nothing else of consequence imports the last one.
    assert {name for name in differing if not name.startswith(("k8s.io/", "sigs.k8s.io/"))} == {
        "github.com/cyphar/filepath-securejoin"
    }


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
def test_a_program_with_another_source_has_another_place(changed: Program) -> None:
    assert binaries.path(changed) != binaries.path(PROGRAMS["helm"])


def test_programs_of_one_module_are_built_by_one_command() -> None:
    wanted = [PROGRAMS[name] for name in ("kubernetes", "thv-operator", "helm", "vmcp")]
    kubernetes, operator, helm, vmcp = wanted
    assert binaries.batches(wanted) == {"cluster": [[kubernetes, helm]], "toolhive": [[operator, vmcp]]}


def test_a_program_that_has_to_be_built_alone_gets_a_command_of_its_own() -> None:
    batches = binaries.batches(PROGRAMS.values())
    assert [PROGRAMS["local-path-provisioner"]] in batches["cluster"]
    built = (program.name for module in batches.values() for batch in module for program in batch)
    assert sorted(built) == sorted(PROGRAMS)

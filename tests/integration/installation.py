"""Installs the chart and ToolHive's CRDs, and runs webhook and reconciler as the chart would.

RBAC and TLS are real. The Deployments are left out: the processes run on this machine, so that a test can kill them.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import yaml

from deploy.local import binaries, toolhive
from shared.objects.resources import Object
from tests.integration.control_plane import Kubectl
from tests.integration.loopback import free_port
from tests.integration.processes import ROOT, Process

RELEASE = "session-storage"
NAMESPACE = "session-storage-system"
CHART = ROOT / "deploy" / "chart"
LEFT_OUT = {"Deployment", "PodDisruptionBudget", "NetworkPolicy"}
CONSUMER_PLURALS = ("mcpservers", "mcpremoteproxies", "virtualmcpservers")
EXTENDED_PLURALS = (*CONSUMER_PLURALS, "mcpexternalauthconfigs")


class Release(NamedTuple):
    """A release of the chart, and the namespace that it is installed in."""

    name: str = RELEASE
    namespace: str = NAMESPACE


def install_toolhive_crds(kubectl: Kubectl) -> None:
    """Install the CRDs of all kinds that refer to storages."""
    for plural in EXTENDED_PLURALS:
        kubectl("apply", "--server-side", "-f", str(toolhive_crd(plural)))


def toolhive_crd(plural: str, version: str = binaries.TOOLHIVE_VERSION) -> Path:
    """Find one of ToolHive's own CRDs."""
    (path,) = (toolhive.chart("operator-crds", version) / "files" / "crds").glob(f"*_{plural}.yaml")
    return path


def helm_template(
    *options: str, chart: Path = CHART, release: str = RELEASE, namespace: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """Have Helm render a chart, or refuse to."""
    command = [str(binaries.binary("helm")), "template", release, str(chart), "--namespace", namespace]
    return subprocess.run([*command, "--kube-version=1.36.3", *options], capture_output=True, text=True, check=False)


def chart_objects(*values: str, options: Sequence[str] = ()) -> list[Object]:
    """Render the chart as Helm does.

    Args:
        values: Values that `--set` takes.
        options: Further options of `helm template`.
    """
    rendered = helm_template(*(f"--set={value}" for value in values), *options)
    assert rendered.returncode == 0, rendered.stderr
    return [obj for obj in yaml.safe_load_all(rendered.stdout) if obj]


def install_chart(kubectl: Kubectl, webhook_port: int, *values: str) -> list[Object]:
    """Install the chart without its workloads; the webhook's Service points to this machine."""
    objects = chart_objects(*values)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for obj in objects:
        obj["metadata"].setdefault("namespace", NAMESPACE)
        if obj["kind"] == "Service":
            # The API server follows an ExternalName for webhooks, and still verifies the Service's own name.
            port = {"name": "https", "port": webhook_port}
            obj["spec"] = {"type": "ExternalName", "externalName": "localhost", "ports": [port]}
        for webhook in obj.get("webhooks", []):
            webhook["clientConfig"]["service"]["port"] = webhook_port
    kubectl.apply(*(obj for obj in objects if obj["kind"] not in LEFT_OUT))
    kubectl("wait", "--for=condition=Established", "crd/sessionstorages.toolhive.stacklok.dev")
    return objects


def environment_of(objects: list[Object], component: str, release: str = RELEASE) -> dict[str, str]:
    """Read the environment variables that the chart gives to a process."""
    (deployment,) = [
        obj for obj in objects if obj["kind"] == "Deployment" and obj["metadata"]["name"] == f"{release}-{component}"
    ]
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in env if "value" in item}


def kubeconfig_for(
    kubectl: Kubectl, admin: Path, service_account: str, directory: Path, namespace: str = NAMESPACE
) -> Path:
    """Make a kubeconfig that acts as one of the chart's service accounts."""
    config = yaml.safe_load(admin.read_text())
    token = kubectl("create", "token", service_account, "--namespace", namespace, "--duration=24h").strip()
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path = directory / f"{service_account}.kubeconfig"
    path.write_text(json.dumps(config))
    return path


def told(objects: list[Object], component: str, kubectl: Kubectl, directory: Path, release: Release) -> dict[str, str]:
    """Tell a process on this machine what the chart tells its pod; it acts as the chart's service account.

    Args:
        objects: The chart's.
        component: Name of the process.
        kubectl: Of the cluster's administrator.
        directory: For the kubeconfig.
        release: Whose process it is.
    """
    account = f"{release.name}-{component}"
    kubeconfig = kubeconfig_for(kubectl, kubectl.kubeconfig, account, directory, release.namespace)
    return environment_of(objects, component, release.name) | {
        "KUBECONFIG": str(kubeconfig),
        "POD_NAME": f"{account}-0",
        "POD_NAMESPACE": release.namespace,
        "EXTERNAL_ALLOWED_HOSTS": "*,0.0.0.0/0,127.0.0.1",  # users' own stores run on this machine
        "ROTATION_REFRESH_SECONDS": "0",  # there is no kubelet that would refresh a mounted file late
    }


@contextlib.contextmanager
def running_processes(
    objects: list[Object],
    kubectl: Kubectl,
    webhook_port: int,
    directory: Path,
    commands: Mapping[str, Sequence[str | Path]] = MappingProxyType({}),
) -> Iterator[dict[str, Process]]:
    """Run the webhook and the reconciler as the chart would, and as its service accounts, until the block ends.

    Args:
        objects: The chart's.
        kubectl: Of the cluster's administrator.
        webhook_port: Where the webhook serves.
        directory: For logs and kubeconfigs.
        commands: Commands that start them, by name, if not the Python of the tests.
    """
    made = {}
    for component in ("webhook", "reconciler"):
        ports = {"HTTP_PORT": str(free_port()), "WEBHOOK_PORT": str(webhook_port)}
        environ = told(objects, component, kubectl, directory, Release()) | ports
        made[component] = Process(component, environ, directory / f"{component}.log", commands.get(component))
    with contextlib.ExitStack() as stack:
        for process in made.values():
            stack.callback(process.kill)
            process.start()
        for process in made.values():
            process.await_ready()
        yield made

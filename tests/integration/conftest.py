"""A control plane on loopback with the chart's objects, and the webhook and the reconciler as real processes.

RBAC and TLS are real. The Deployments are left out: the processes run on this machine, so that a test can kill them.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml

from deploy.local import binaries, toolhive
from deploy.local.controlplane import Endpoints
from deploy.local.loopback import ControlPlane
from shared.kubernetes.client import Cluster
from shared.objects.resources import NAMESPACES, Object
from tests.integration.api import Api
from tests.integration.loopback import free_port

ROOT = Path(__file__).parents[2]
RELEASE = "session-storage"
NAMESPACE = "toolhive-system"
LEFT_OUT = {"Deployment", "PodDisruptionBudget", "NetworkPolicy"}
LONGEST = (
    "test_drills",
    "test_toolhive_versions",
    "test_policy_alone",
    "test_policy",
    "test_sharing",
    "test_provisioning",
    "test_short_lives",
    "test_rules",
    "test_outage",
    "test_rotation",
    "test_survival",
    "test_admission",
    "test_large",
    "test_external",
    "test_hostile",
    "test_webhook_process",
    "test_install",
)
"""Files in the order in which workers take them: long ones first, so that all workers end at about the same time."""
CONSUMER_PLURALS = ("mcpservers", "mcpremoteproxies", "virtualmcpservers")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


class Kubectl:
    """kubectl, as the administrator, for what users see and for whole manifests."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._command = [str(binaries.binary("kubernetes")), "kubectl", f"--kubeconfig={kubeconfig}"]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @functools.cached_property
    def api(self) -> Api:
        """A client of the same API server, for tests that ask again and again."""
        return Api(self.kubeconfig)

    def apply(self, *objects: Object) -> None:
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def warns(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that succeeds, and return the warnings that kubectl printed."""
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def fails(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr


class Process:
    """The webhook or the reconciler as a process, which a test can start again and again."""

    def __init__(
        self, module: str, environ: dict[str, str], log: Path, command: Sequence[str | Path] | None = None
    ) -> None:
        self._module = module
        self._command = command or [sys.executable, "-m", module]
        self.environ = environ
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._command],
                env=os.environ | self.environ,
                cwd=ROOT,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._module} ended: {self.log}"
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def await_ready(self) -> None:
        eventually(lambda: "ok" in self.read("/readyz"), what=f"{self._module} ready: {self.log}")

    def read(self, path: str) -> str:
        """Read a page from the port for probes and metrics."""
        url = f"http://127.0.0.1:{self.environ['HTTP_PORT']}{path}"
        with urllib.request.urlopen(url, timeout=1) as response:
            content: bytes = response.read()
        return content.decode()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)


def eventually(condition: Callable[[], bool], *, seconds: float = 30, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, KeyError, AssertionError):
            if condition():
                return
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def running_control_plane(directory: Path) -> Iterator[ControlPlane]:
    """Run a control plane on ports of this worker until the block ends; it costs 5 s of processor time and 0.7 GiB."""
    control_plane = ControlPlane(directory, Endpoints("127.0.0.1", *(free_port() for _ in range(3))))
    try:
        control_plane.start()
        yield control_plane
    finally:
        control_plane.stop()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("cluster") / "control-plane") as control_plane:
        yield control_plane


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    return control_plane.kubeconfig


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    return Kubectl(kubeconfig)


@pytest.fixture
async def cluster(kubeconfig: Path) -> AsyncIterator[Cluster]:
    async with await Cluster.connect(user_agent="tests", kubeconfig=str(kubeconfig)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def toolhive_crds(kubectl: Kubectl) -> None:
    install_toolhive_crds(kubectl)


def install_toolhive_crds(kubectl: Kubectl) -> None:
    """Install the CRDs of all kinds of consumers."""
    for plural in CONSUMER_PLURALS:
        kubectl("apply", "--server-side", "-f", str(toolhive_crd(plural)))


def toolhive_crd(plural: str, version: str = binaries.TOOLHIVE_VERSION) -> Path:
    """Find one of ToolHive's own CRDs."""
    (path,) = (toolhive.chart("operator-crds", version) / "files" / "crds").glob(f"*_{plural}.yaml")
    return path


def chart_objects(*values: str) -> list[Object]:
    """Render the chart as Helm does."""
    command = [
        str(binaries.binary("helm")),
        "template",
        RELEASE,
        str(ROOT / "deploy/chart"),
        "--namespace",
        NAMESPACE,
        "--kube-version=1.36.3",
        # Helm asks the cluster into which it installs; here there is none to ask.
        "--api-versions=admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy",
    ]
    rendered = subprocess.run(
        [*command, *(f"--set={value}" for value in values)], capture_output=True, text=True, check=True
    )
    return [obj for obj in yaml.safe_load_all(rendered.stdout) if obj]


@pytest.fixture(scope="session")
def webhook_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def chart(kubectl: Kubectl, webhook_port: int, toolhive_crds: None) -> list[Object]:
    return install_chart(kubectl, webhook_port)


def install_chart(kubectl: Kubectl, webhook_port: int) -> list[Object]:
    """Install the chart without its workloads; the webhook's Service points to this machine."""
    objects = chart_objects()
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


def environment_of(objects: list[Object], component: str) -> dict[str, str]:
    """Read the environment variables that the chart gives to a process."""
    (deployment,) = [
        obj for obj in objects if obj["kind"] == "Deployment" and obj["metadata"]["name"] == f"{RELEASE}-{component}"
    ]
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in env if "value" in item}


def kubeconfig_for(kubectl: Kubectl, admin: Path, service_account: str, directory: Path) -> Path:
    """Make a kubeconfig that acts as one of the chart's service accounts."""
    config = yaml.safe_load(admin.read_text())
    token = kubectl("create", "token", service_account, "--namespace", NAMESPACE, "--duration=24h").strip()
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path = directory / f"{service_account}.kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture(scope="session")
def processes(
    chart: list[Object], kubectl: Kubectl, webhook_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Process]]:
    directory = tmp_path_factory.mktemp("processes")
    with running_processes(chart, kubectl, webhook_port, directory) as made:
        yield made


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
        service_account = f"{RELEASE}-{component}"
        environ = environment_of(objects, component) | {
            "KUBECONFIG": str(kubeconfig_for(kubectl, kubectl.kubeconfig, service_account, directory)),
            "POD_NAME": f"{service_account}-0",
            "POD_NAMESPACE": NAMESPACE,
            "HTTP_PORT": str(free_port()),
            "WEBHOOK_PORT": str(webhook_port),
            "ROTATION_REFRESH_SECONDS": "0",  # there is no kubelet that would refresh a mounted file late
        }
        made[component] = Process(component, environ, directory / f"{component}.log", commands.get(component))
    with contextlib.ExitStack() as stack:
        for process in made.values():
            stack.callback(process.kill)
            process.start()
        for process in made.values():
            process.await_ready()
        yield made


@pytest.fixture(scope="session")
def kubelet(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run the Valkey servers of pods on this machine."""
    directory = tmp_path_factory.mktemp("kubelet")
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.integration.kubelet"]
    process = subprocess.Popen([*command, str(kubeconfig), str(directory)], cwd=ROOT)
    yield
    process.terminate()
    process.wait(10)


_numbers = itertools.count(1)


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """Create a namespace for the test alone."""
    name = f"test-{next(_numbers)}"
    kubectl.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kubectl.api.delete(NAMESPACES, "", name)

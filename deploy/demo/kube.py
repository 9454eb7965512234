"""kubectl and Helm, as a person at the terminal would run them: the only module here that starts programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypeVar

import yaml

from deploy.demo.errors import CommandFailed, NotInTime
from deploy.local import binaries, helm, paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Object: TypeAlias = dict[str, Any]
T = TypeVar("T")

COMMAND_SECONDS: Final = 300
"""Longer than any command here waits on purpose."""
POLL_SECONDS: Final = 0.25
"""A look with kubectl takes about 0.15 s of CPU; four a second are as many as two cores should spend on it."""
KLOG: Final = re.compile(r"^[EWI]\d{4} ")


def until(what: str, probe: Callable[[], T | None], seconds: float) -> T:
    """Call `probe` again and again until it returns something true, and return that.

    Raises:
        NotInTime: It did not do so within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        if found := probe():
            return found
        if time.monotonic() > deadline:
            raise NotInTime(f"{what}: not so after {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Applied:
    """What `kubectl apply` printed.

    Attributes:
        lines: One line for each object.
        warnings: What the API server and the webhook warned of; empty if they did not.
    """

    lines: list[str]
    warnings: str


@dataclass(frozen=True)
class Kube:
    """kubectl and Helm for one cluster, as its administrator.

    Attributes:
        kubectl: Command that runs kubectl.
        helm: Command that runs Helm.
        environment: Environment variables of both commands.
        is_local: Whether it is the local cluster, whose nodes have the images of this checkout.
    """

    kubectl: tuple[str, ...]
    helm: str
    environment: Mapping[str, str] = field(repr=False)
    is_local: bool

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Take the cluster that KUBECONFIG names, or else the local one; build kubectl and Helm if they are missing."""
        is_local = paths.is_local(environ)
        # On a cluster of the user's own, the user's own programs fit best.
        kubectl = None if is_local else shutil.which("kubectl")
        installed_helm = None if is_local else shutil.which("helm")
        cache = paths.cache_root() / "clients"
        return cls(
            kubectl=(kubectl,) if kubectl else (str(binaries.binary("kubernetes")), "kubectl"),
            helm=installed_helm or str(helm.helm()),
            environment={
                **environ,
                "KUBECONFIG": environ.get("KUBECONFIG") or str(paths.kubeconfig()),
                "KUBECACHEDIR": str(cache / "kubectl"),
                "HELM_CACHE_HOME": str(cache / "helm" / "cache"),
                "HELM_CONFIG_HOME": str(cache / "helm" / "config"),
                "HELM_DATA_HOME": str(cache / "helm" / "data"),
            },
            is_local=is_local,
        )

    def run(self, *arguments: str | Path, stdin: str = "", namespace: str = "") -> str:
        """Run kubectl and return what it printed.

        Raises:
            CommandFailed: kubectl failed; the message is its own.
        """
        return _succeeded(self._kubectl(arguments, stdin, namespace))

    def refusal(self, *arguments: str | Path, stdin: str = "", namespace: str = "") -> str:
        """Run kubectl, which is expected to fail, and return its complaint; empty if it did not fail."""
        done = self._kubectl(arguments, stdin, namespace)
        return _complaint(done.stderr) or "failed in silence" if done.returncode else ""

    def run_helm(self, *arguments: str | Path) -> str:
        """Run Helm and return what it printed; raises CommandFailed like `run`."""
        return _succeeded(self._execute((self.helm, *arguments), ""))

    def apply(self, *objects: Object) -> list[str]:
        """Apply objects as `kubectl apply -f` does, with its strict validation; return its line for each."""
        return self.apply_with_warnings(*objects).lines

    def apply_with_warnings(self, *objects: Object) -> Applied:
        """Apply objects as `apply` does, and return the warnings as well.

        Raises:
            CommandFailed: kubectl failed; the message is its own.
        """
        done = self._kubectl(("apply", "-f", "-"), yaml.safe_dump_all(objects), "")
        return Applied(_succeeded(done).splitlines(), _complaint(done.stderr))

    def create_namespace(self, name: str) -> None:
        """Make a namespace, if it is not there."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def delete_namespaces(self, *names: str) -> None:
        """Remove namespaces with all that is in them, and wait until they are gone."""
        self.run("delete", "namespace", *names, "--ignore-not-found", "--wait", "--timeout=120s")

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Read one object; None if there is none."""
        text = self.run("get", kind, name, "--ignore-not-found", "--output=json", namespace=namespace)
        found: Object | None = json.loads(text) if text.strip() else None
        return found

    def items(self, kind: str, namespace: str = "", *filters: str) -> list[Object]:
        """List objects of one namespace, or of all if none is named; filters are kubectl's options."""
        where = () if namespace else ("--all-namespaces",)
        found: list[Object] = json.loads(self.run("get", kind, *where, *filters, "--output=json", namespace=namespace))[
            "items"
        ]
        return found

    def existing(self, namespace: str, *targets: str) -> dict[str, Object]:
        """Read those of the objects `kind/name` that exist, by their kind in lower case."""
        listed = self.run("get", *targets, "--ignore-not-found", "--output=json", namespace=namespace)
        found = json.loads(listed) if listed.strip() else {"items": []}
        return {each["kind"].lower(): each for each in found.get("items", [found])}

    def await_condition(self, target: str, condition: str, namespace: str, seconds: float = 60) -> None:
        """Wait as `kubectl wait` does: for `condition=Ready`, `jsonpath=...`, `delete`.

        Raises:
            NotInTime: It did not come; the message shows the state of the object.
        """
        try:
            self.run("wait", target, f"--for={condition}", f"--timeout={seconds:.0f}s", namespace=namespace)
        except CommandFailed as error:
            state = self.refusal("get", target, namespace=namespace) or self.run("get", target, namespace=namespace)
            raise NotInTime(f"waiting for {target}: {error}\n{state}") from error

    @contextmanager
    def forwarded(self, pod: str, port: int, namespace: str) -> Iterator[int]:
        """Forward a free local port to a pod's, and yield its number; works on every cluster."""
        with self._serving("--namespace", namespace, "port-forward", f"pod/{pod}", f":{port}") as line:
            # Forwarding from 127.0.0.1:40123 -> 8080
            yield int(line.split(" -> ")[0].rpartition(":")[2])

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the API on a free local port, with the administrator's rights, and yield its URL."""
        with self._serving("proxy", "--port=0") as line:
            # Starting to serve on 127.0.0.1:40123
            yield f"http://{line.rpartition(' ')[2]}"

    @contextmanager
    def _serving(self, *arguments: str) -> Iterator[str]:
        """Run kubectl until the block ends, and yield its line that says where it serves."""
        process = subprocess.Popen(
            [*self.kubectl, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            line = process.stdout.readline().decode().strip() if process.stdout else ""
            if not line.startswith(("Forwarding from", "Starting to serve on")):
                raise CommandFailed(f"{_shown([*self.kubectl, *arguments])}: {line or 'ended at once'}")
            yield line
        finally:
            process.kill()
            process.communicate()

    def _kubectl(self, arguments: Sequence[str | Path], stdin: str, namespace: str) -> subprocess.CompletedProcess[str]:
        where = ("--namespace", namespace) if namespace else ()
        return self._execute((*self.kubectl, *where, *arguments), stdin)

    def _execute(self, command: Sequence[str | Path], stdin: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                env=self.environment,
                timeout=COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise NotInTime(f"{_shown(command)}: did not end within {COMMAND_SECONDS} s") from error


def _succeeded(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise CommandFailed(f"{_shown(done.args)}: {_complaint(done.stderr) or done.stdout.strip()}")
    return done.stdout


def _complaint(stderr: str) -> str:
    """Drop the lines that kubectl's libraries log by themselves, in klog's format."""
    return "\n".join(line for line in stderr.splitlines() if not KLOG.match(line)).strip()


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(os.fspath(word) for word in command[:6])

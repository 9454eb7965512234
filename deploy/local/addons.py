"""Installs what runs on top of the nodes: DNS, storage, and ToolHive from its own Helm charts."""

import json
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from string import Template

from deploy.local import binaries, helm, images, progress, toolhive
from deploy.local.profile import ORDINARY, Profile
from deploy.local.readiness import Workload
from deploy.local.topology import DNS_ADDRESS, DNS_PORT, DNS_PORT_ON_NODES

MANIFESTS = Path(__file__).with_name("manifests")
TOOLHIVE_NAMESPACE = "toolhive-system"
# Selects the release records that a killed Helm leaves, and from which the next Helm refuses to go on. Once they are
# gone, Helm installs anew, and adopts the objects by its own labels on them.
INTERRUPTED = (
    "owner=helm,name in (toolhive-operator,toolhive-operator-crds),"
    "status in (pending-install,pending-upgrade,pending-rollback)"
)


@dataclass(frozen=True)
class Tools:
    """Runs kubectl and Helm against the local cluster, with nothing of the user's own configuration.

    Attributes:
        kubeconfig: How to reach the cluster.
        home: Where they keep their caches.
        logs: Where their output goes.
    """

    kubeconfig: Path
    home: Path
    logs: Path

    def kubectl(self, what: str, *arguments: str | Path) -> None:
        """Run kubectl to its end; StepFailed if it fails."""
        self._run(what, binaries.binary("kubernetes"), "kubectl", *arguments)

    def helm(self, what: str, *arguments: str | Path) -> None:
        """Run Helm to its end; StepFailed if it fails."""
        self._run(what, helm.helm(), *arguments)

    def _run(self, what: str, *command: str | Path) -> None:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "KUBECACHEDIR": str(self.home / "kubectl"),
            "KUBECONFIG": str(self.kubeconfig),
        }
        progress.run(what, command, log=self.logs / f"{what.replace(' ', '-')}.log", env=environment)


def workloads(profile: Profile) -> tuple[Workload, ...]:
    """List what must be available before the cluster is up."""
    return (
        Workload("daemonsets" if profile.is_dns_on_nodes else "deployments", "kube-system", "coredns"),
        Workload("deployments", "local-path-storage", "local-path-provisioner"),
        Workload("deployments", TOOLHIVE_NAMESPACE, "toolhive-operator"),
    )


def install(tools: Tools, profile: Profile = ORDINARY) -> None:
    """Install everything, or bring it back to what it should be; does not wait until it runs."""
    with ThreadPoolExecutor() as pool:
        for installed in [pool.submit(each, tools, profile) for each in (_apply_manifests, _install_toolhive)]:
            installed.result()


def manifests(profile: Profile) -> tuple[str, ...]:
    """Name the manifests that a profile needs."""
    dns = "dns-on-nodes.yaml" if profile.is_dns_on_nodes else "dns-behind-service.yaml"
    return ("dns.yaml", dns, "storage.yaml", *(("house-rules.yaml",) if profile.house else ()))


def render_manifests(profile: Profile = ORDINARY) -> str:
    """Put names, images and addresses into the manifests of DNS, storage and policies."""
    names = {
        "COREDNS": images.COREDNS,
        "DNS_ADDRESS": DNS_ADDRESS,
        "DNS_PORT": str(DNS_PORT_ON_NODES if profile.is_dns_on_nodes else DNS_PORT),
        "CLUSTER_DOMAIN": profile.domain,
        "STORAGE_CLASS": profile.storage_class,
        "IS_DEFAULT_CLASS": "true" if profile.has_default_class else "false",
        "TOLERATIONS": json.dumps(profile.tolerations),
        "LOCAL_PATH_PROVISIONER": images.LOCAL_PATH_PROVISIONER,
        "LOCAL_PATH_HELPER": images.LOCAL_PATH_HELPER,
    }
    if profile.house is not None:
        names |= {
            "TOOLHIVE_NAMESPACE": TOOLHIVE_NAMESPACE,
            "HOUSE_RULES": json.dumps(profile.house.labels),
            "USER_IDS": json.dumps(profile.house.annotations),
            "ORIGIN": profile.house.origin,
            "MIRROR": profile.house.mirror,
            "WORKER_TAINT": profile.house.pool.key,
        }
    templates = (Template((MANIFESTS / name).read_text()) for name in manifests(profile))
    return "---\n".join(template.substitute(names) for template in templates)


def _apply_manifests(tools: Tools, profile: Profile) -> None:
    rendered = tools.home / "manifests.yaml"
    rendered.parent.mkdir(exist_ok=True)
    rendered.write_text(render_manifests(profile))
    tools.kubectl("applying DNS and storage", "apply", "--server-side", "--force-conflicts", f"--filename={rendered}")


def _install_toolhive(tools: Tools, profile: Profile) -> None:
    namespace = f"--namespace={TOOLHIVE_NAMESPACE}"
    tools.kubectl("clearing interrupted Helm releases", "delete", "secrets", namespace, f"--selector={INTERRUPTED}")
    # Helm 4 would apply whole objects, and so revert what others have written into them since.
    by_difference = ("--server-side=false",) if helm.is_packaged(platform.machine()) else ()
    upgrade = ("upgrade", "--install", namespace, "--create-namespace", *by_difference)
    tools.helm("installing ToolHive CRDs", *upgrade, "toolhive-operator-crds", toolhive.chart("operator-crds"))
    tools.helm(
        "installing ToolHive operator",
        *upgrade,
        "toolhive-operator",
        toolhive.chart("operator"),
        f"--set=operator.image={images.TOOLHIVE_OPERATOR}",
        f"--set=operator.toolhiveRunnerImage={images.TOOLHIVE_PROXYRUNNER}",
        f"--set=operator.vmcpImage={images.TOOLHIVE_VMCP}",
        "--set=operator.imagePullPolicy=IfNotPresent",
        # The chart's probe runs every 10 s, which would be most of the time that a start takes.
        "--set=operator.readinessProbe.initialDelaySeconds=1",
        "--set=operator.readinessProbe.periodSeconds=1",
        # Nothing leads out of the cluster, so the update check would only log failures.
        "--set=operator.env[0].name=TOOLHIVE_SKIP_UPDATE_CHECK",
        "--set-string=operator.env[0].value=true",
        *_where_toolhive_runs(profile),
    )


def _where_toolhive_runs(profile: Profile) -> tuple[str, ...]:
    if profile.house is None:
        return ()
    return (
        "--set=operator.tolerations[0].operator=Exists",
        # It may start before the policy that would assign one.
        f"--set=operator.containerSecurityContext.runAsUser={profile.house.first_user_id}",
    )

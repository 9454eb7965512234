"""Serves pods' processor time on the local cluster, by metrics-server, to those who ask for it.

The cluster itself does without. While an aggregated API is away, Kubernetes deletes no namespace, and what
metrics-server asks of the kubelets would be part of what tests measure.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from string import Template

from deploy.local import api, cluster, images, readiness
from deploy.local.addons import MANIFESTS, Tools
from deploy.local.home import Cluster
from deploy.local.images import StaticImage
from deploy.local.profile import Profile
from deploy.local.readiness import Workload

IMAGE = StaticImage([images.METRICS_SERVER], "metrics-server")
WORKLOAD = Workload("deployments", "kube-system", "metrics-server")
GROUP_VERSION = "metrics.k8s.io/v1beta1"
API = "v1beta1.metrics.k8s.io"
NODES = f"/apis/{GROUP_VERSION}/nodes"


def render_manifest(profile: Profile) -> str:
    """Put image and tolerations into metrics-server's manifest."""
    names = {"METRICS_SERVER": images.METRICS_SERVER, "TOLERATIONS": json.dumps(profile.tolerations)}
    return Template((MANIFESTS / "metrics.yaml").read_text()).substitute(names)


@contextmanager
def served(local: Cluster) -> Iterator[None]:
    """Have metrics-server serve until the block ends; building it first takes minutes.

    Raises:
        StepFailed: It could not be built, or did not get ready.
    """
    tools = Tools(local.kubeconfig, local.state / "home", local.logs)
    cluster.load(local, [images.archive_of(IMAGE)])
    manifest = tools.home / "metrics.yaml"
    manifest.write_text(render_manifest(local.profile))
    try:
        _install(tools, manifest)
        yield
    finally:
        # The API first: what would go through it fails while its server is away.
        tools.kubectl("removing the API of metrics", "delete", "apiservice", API, "--ignore-not-found")
        tools.kubectl("removing metrics-server", "delete", f"--filename={manifest}", "--ignore-not-found")


def _install(tools: Tools, manifest: Path) -> None:
    tools.kubectl("applying metrics-server", "apply", "--server-side", "--force-conflicts", f"--filename={manifest}")
    client = api.Client(tools.kubeconfig)
    log = tools.logs / "applying-metrics-server.log"
    readiness.wait(f"{WORKLOAD} is ready", partial(readiness.workload_is_ready, client, WORKLOAD), log)
    readiness.wait("processor time is served", partial(_knows_nodes, client), log)


def _knows_nodes(client: api.Client) -> bool:
    """Tell whether metrics-server has asked kubelets twice, which takes it half a minute; until then it lists none."""
    return bool((client.get(NODES) or {}).get("items"))

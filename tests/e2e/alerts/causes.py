"""Causes of alerts: each is undone when its block ends, and says since when it has been in effect."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from deploy.demo.installation import NAMESPACE as OWN_NAMESPACE
from deploy.demo.installation import PODS, RELEASE
from deploy.demo.kube import until
from reconciler.credentials.identities import OPERATOR
from shared import names
from tests.chaos import leaders, nodes
from tests.chaos.api import NAMESPACE
from tests.chaos.faults.fault import hold, now
from tests.chaos.faults.losses import DISK_MIB
from tests.chaos.stand import RECOVERY_SECONDS
from tests.e2e import clients
from tests.e2e.storages import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deploy.demo.kube import Kube
    from tests.e2e.alerts.site import Site

OUTAGE_SECONDS: Final = 90
"""An hour's budget for a page is 51.8 s: 14.4 times the 3.6 s that 99.9 % leave of an hour. An outage of 130 s would
also use up that of six hours, and the alert would go on for half an hour."""
BATCH: Final = (
    'local value = string.rep("x", 98000) '
    'for number = 1, 50 do redis.call("SET", "thv:proxy:session:" .. ARGV[1] .. ":" .. number, value, "EX", 3600) end'
)
"""Writes 5 MB. A script is short, because Valkey evicts before it, and not meanwhile."""
EVICTED: Final = 40
WRITE_SECONDS: Final = 120
"""A `small` storage takes 30 batches, each of which takes kubectl about a second."""
HOLDER: Final = Path(__file__).with_name("holder.py").read_text()
HELD_SECONDS: Final = 120
SHARE_IN_USE: Final = 0.92
"""More than the 85 % of the alert, and less than all: probes and the reconciler connect too."""
WEBHOOK: Final = f"deployment/{RELEASE}-webhook"
ASK_SECONDS: Final = 5
QUOTA: Final = "no-more-volumes"


@contextmanager
def primary_cut_off(site: Site) -> Iterator[float]:
    """Nobody reaches the primary."""
    with site.cuts.around([site.stand.primary()]):
        yield now()


@contextmanager
def outage_over(site: Site) -> Iterator[float]:
    """Nobody has reached the primary for a time, which is over."""
    with site.cuts.around([site.stand.primary()]):
        begun = now()
        hold(OUTAGE_SECONDS)
    yield begun


@contextmanager
def replicas_cut_off(site: Site) -> Iterator[float]:
    """Nobody reaches any replica, the primary neither."""
    with site.cuts.around(site.replicas()):
        yield now()


@contextmanager
def primary_and_a_replica_cut_off(site: Site) -> Iterator[float]:
    """Nobody reaches two instances of three: for all that the reconciler knows, those two go on taking writes."""
    with site.cuts.around([site.stand.primary(), site.replicas()[0]]):
        yield now()


@contextmanager
def memory_full(site: Site) -> Iterator[float]:
    """A consumer has written more than the memory holds, and has stopped."""
    until(f"{EVICTED} keys are evicted", _batches(site, _has_evicted), WRITE_SECONDS)
    yield now()


def _batches(site: Site, is_enough: Callable[[str], bool]) -> Callable[[], bool]:
    """Return what writes another batch at each call, and judges Valkey's answer and its counts."""
    numbers = itertools.count()

    def write() -> bool:
        written = f"valkey-cli eval '{BATCH}' 0 {next(numbers)} 2>&1"
        return is_enough(site.run(f"{written}; valkey-cli info stats"))

    return write


def _has_evicted(said: str) -> bool:
    return int(_value(said, "evicted_keys")) > EVICTED


def _is_refused(said: str) -> bool:
    return "MISCONF" in said


@contextmanager
def connections_in_use(site: Site) -> Iterator[float]:
    """A client holds most of the connections that the server allows, which are fewer than usual."""
    name = f"holder-{site.stand.name}"
    pod = clients.client(name, NAMESPACE, site.stand.images, names.connection_secret(site.stand.name))
    host = {"VALKEY_HOST": names.valkey_host(site.stand.name, NAMESPACE)}
    site.kube.apply(clients.program(pod, site.stand.images, ["python", "-c", HOLDER], host))
    try:
        clients.await_client(site.kube, name, NAMESPACE)
        until(f"{name} is connected", lambda: _has_printed(site.kube, name), HELD_SECONDS)
        connected = int(_value(site.run("valkey-cli info clients"), "connected_clients"))
        allowed = site.run("valkey-cli --user operator config get maxclients", OPERATOR).split()[1]
        _allow(site, str(int(connected / SHARE_IN_USE)))
        try:
            yield now()
        finally:
            _allow(site, allowed)
    finally:
        site.kube.run("delete", "pod", name, "--force", "--grace-period=0", namespace=NAMESPACE)


def _has_printed(kube: Kube, pod: str) -> bool:
    return bool(kube.run("logs", pod, namespace=NAMESPACE).strip())


def _value(info: str, field: str) -> str:
    return dict(line.strip().partition(":")[::2] for line in info.splitlines())[field]


def _allow(site: Site, connections: str) -> None:
    site.run(f"valkey-cli --user operator config set maxclients {connections}", OPERATOR)


@contextmanager
def on_small_disk_alone(site: Site) -> Iterator[None]:
    """Put the only instance on a small disk, and let it get no second one with a disk of its own.

    Otherwise the reconciler would move the storage away before anybody has to be woken.
    """
    primary = site.stand.primary()
    node, directory = primary["spec"]["nodeName"], nodes.volume(site.kube, primary)
    with _no_more_volumes(site.kube):
        with nodes.small_disk(node, directory, DISK_MIB):
            _replace(site, primary["metadata"]["name"])
            yield
        _replace(site, primary["metadata"]["name"])


@contextmanager
def disk_full(site: Site) -> Iterator[float]:
    """The primary's disk is full, and a consumer's writes have met that."""
    primary = site.stand.primary()
    with nodes.filled(primary["spec"]["nodeName"], nodes.volume(site.kube, primary)):
        until("a write is refused", _batches(site, _is_refused), WRITE_SECONDS)
        yield now()


@contextmanager
def _no_more_volumes(kube: Kube) -> Iterator[None]:
    used = sum("deletionTimestamp" not in claim["metadata"] for claim in kube.items("pvc", NAMESPACE))
    metadata = {"name": QUOTA, "namespace": NAMESPACE}
    hard = {"persistentvolumeclaims": str(used)}
    kube.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    try:
        yield
    finally:
        kube.run("delete", "resourcequota", QUOTA, namespace=NAMESPACE)


def _replace(site: Site, pod: str) -> None:
    """Replace a storage's only pod at once; with a grace period, another instance would take over from it."""
    before = _uids(site)
    site.kube.run("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false", namespace=NAMESPACE)
    until(f"{pod} is new", lambda: not before & _uids(site), RECOVERY_SECONDS)
    site.stand.await_recovered()


def _uids(site: Site) -> set[str]:
    return {pod["metadata"]["uid"] for pod in site.stand.pods()}


@contextmanager
def no_reconciler(site: Site) -> Iterator[float]:
    """No reconciler runs."""
    leaders.scale(site.kube, 0)
    try:
        yield now()
    finally:
        leaders.scale(site.kube, leaders.REPLICAS)
        leaders.await_recovered(site.kube)


@contextmanager
def no_webhook(site: Site) -> Iterator[float]:
    """No webhook runs, and somebody goes on trying to create a storage."""
    kube, ended = site.kube, threading.Event()
    wanted = yaml.safe_dump(storage("never", NAMESPACE, size="small"))

    def ask() -> None:
        while not ended.wait(ASK_SECONDS):
            kube.refusal("create", "--dry-run=server", "-f", "-", stdin=wanted)

    replicas = kube.run("get", WEBHOOK, "--output=jsonpath={.spec.replicas}", namespace=OWN_NAMESPACE)
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        kube.run("scale", WEBHOOK, "--replicas=0", namespace=OWN_NAMESPACE)
        pods = ("pods", OWN_NAMESPACE, f"--selector={PODS},app.kubernetes.io/component=webhook")
        until("no webhook runs", lambda: not kube.items(*pods), RECOVERY_SECONDS)
        yield now()
    finally:
        ended.set()
        asking.join()
        kube.run("scale", WEBHOOK, f"--replicas={replicas}", namespace=OWN_NAMESPACE)
        kube.run("rollout", "status", WEBHOOK, f"--timeout={RECOVERY_SECONDS}s", namespace=OWN_NAMESPACE)

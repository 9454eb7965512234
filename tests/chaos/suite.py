"""Inflicts all faults on all sizes, one after the other, on one cluster; first it removes what an earlier run left."""

from __future__ import annotations

import random
import re
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deploy.demo import installation
from deploy.demo.errors import DemoError
from deploy.demo.storages import KIND
from deploy.local import progress
from deploy.local.errors import LocalClusterError
from shared.names import ANNOTATION_FORCE_DELETE
from shared.session_storage.sizes import Size
from tests.chaos import floor, nodes, trials
from tests.chaos.api import NAMESPACE, Api
from tests.chaos.figures import Trial
from tests.chaos.report import Measured
from tests.chaos.stand import SERVERS, Stand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.demo.images import Images
    from deploy.demo.kube import Kube
    from tests.chaos.faults.fault import Fault


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        faults: The faults, in their order.
        sizes: The sizes; a fault strikes only those for which it has a target.
        runs: Runs of each fault on each size.
        seed: Seed of all random choices.
    """

    faults: Sequence[Fault]
    sizes: Sequence[Size]
    runs: int
    seed: int

    def steps(self) -> Iterator[tuple[Size, Fault, random.Random]]:
        """List all runs; those on one size follow each other, so that they can share a storage. Pure."""
        for size in self.sizes:
            for fault in self.faults:
                if size in fault.targets:
                    for number in range(self.runs):
                        yield size, fault, random.Random(f"{self.seed} {fault.name} {size} {number}")


@dataclass
class Stage:
    """The cluster, prepared for faults; it makes a stand for each size that is needed.

    Attributes:
        kube: The cluster, through kubectl.
        api: The cluster's API server.
        images: The images that run on the cluster.
        made: For each storage that was made, the seconds from `kubectl apply` to Ready, by size.
        valkey: Version of the storages' Valkey; `unknown` until there is a storage.
    """

    kube: Kube
    api: Api
    images: Images
    made: dict[Size, list[float]] = field(default_factory=dict)
    valkey: str = "unknown"

    def stand(self, size: Size) -> Stand:
        """Return the stand of a size; make it anew if it is missing, was resized, or does not recover."""
        stand = Stand(self.kube, self.api, self.images, size.value)
        if stand.storage().get("spec", {}).get("size") == size:
            try:
                stand.await_recovered()
            except DemoError as error:
                progress.step(f"{size}: made anew, because {error}")
            else:
                return stand
        # A storage of one instance cannot move away from its data, and no fault may cut off the control plane's node.
        kept_away = nullcontext() if size is Size.LARGE else nodes.cordoned(self.kube, nodes.CONTROL_PLANE)
        with kept_away:
            took = stand.make(size)
        self.made.setdefault(size, []).append(took)
        self.valkey = _valkey_version(stand)
        progress.step(f"{size}: ready {took:.1f} s after kubectl apply")
        return stand


def measure(kube: Kube, images: Images, plan: Plan) -> Measured:
    """Do all runs of a plan, and report each as it ends."""
    with staged(kube, images) as stage:
        lowest = floor.measure(kube, stage.api, images)
        for way, took in (("an EndpointSlice", lowest.endpoints), ("a selector", lowest.selector)):
            progress.step(f"one patch of {way} moves clients in {', '.join(f'{each * 1000:.0f}' for each in took)} ms")
        done: list[Trial] = []
        for size, fault, rng in plan.steps():
            trial = _try(stage, size, fault, rng)
            progress.step(str(trial))
            done.append(replace(trial, date=datetime.now(UTC).date().isoformat()))
        return Measured(done, stage.made, lowest, stage.valkey)


def _try(stage: Stage, size: Size, fault: Fault, rng: random.Random) -> Trial:
    """Run a fault once; an error becomes the run's problem."""
    try:
        return trials.run(fault, stage.stand(size), size, rng)
    except (DemoError, LocalClusterError) as error:
        return Trial(fault.name, size, problem=str(error).partition("\n")[0])


def _valkey_version(stand: Stand) -> str:
    """Ask an instance's own program for its version; the answer reads `Valkey server v=9.1.2 sha=...`."""
    said = stand.kube.run("exec", stand.primary()["metadata"]["name"], "--", "valkey-server", "-v", namespace=NAMESPACE)
    return re.sub(r".* v=(\S+).*", r"\1", said.strip())


@contextmanager
def staged(kube: Kube, images: Images) -> Iterator[Stage]:
    """Install the chart and create a namespace; undo changes to the chart and remove the namespace in any case."""
    nodes.undo_leftovers(kube)
    installation.install(kube, images)
    installation.restart_outdated(kube)
    kube.delete_namespaces(NAMESPACE)
    kube.create_namespace(NAMESPACE)
    try:
        yield Stage(kube, Api(nodes.KUBECONFIG), images)
    finally:
        # A run that updates the image may have left the other reference.
        installation.install(kube, images)
        _remove_everything(kube)


def _remove_everything(kube: Kube) -> None:
    """Remove consumers before their storages, whose deletion would have to wait for them otherwise."""
    kube.run("delete", SERVERS, "--all", namespace=NAMESPACE)
    kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=NAMESPACE)
    kube.delete_namespaces(NAMESPACE)

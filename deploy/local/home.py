"""Where a cluster is kept, and what that says of it."""

from dataclasses import dataclass
from pathlib import Path

from deploy.local import audit, binaries, disks, paths
from deploy.local.node import Machine
from deploy.local.profile import Profile
from deploy.local.registry import Registry
from deploy.local.topology import NODES, Node


@dataclass(frozen=True)
class Cluster:
    """The local cluster and where it is kept.

    Attributes:
        state: Directory of everything that belongs to the running cluster.
        kubeconfig: The administrator's kubeconfig; exists once the control plane serves.
        programs: Directory of the Kubernetes binary.
    """

    state: Path
    kubeconfig: Path
    programs: Path

    @classmethod
    def of_this_cache(cls) -> "Cluster":
        """The one cluster that a cache can have."""
        program = binaries.PROGRAMS["kubernetes"]
        return cls(paths.state(), paths.kubeconfig(), binaries.path(program).parent)

    @property
    def logs(self) -> Path:
        """Output of every process."""
        return self.state / "logs"

    @property
    def disks(self) -> Path:
        """The nodes' disks."""
        return self.state / "nodes"

    @property
    def audit_log(self) -> Path:
        """What the API server has noted down."""
        return audit.log(disks.control_plane(self.disks))

    @property
    def profile(self) -> Profile:
        """What kind of cluster runs; an ordinary one if there is none."""
        return disks.profile_of(self.disks)

    @property
    def registry(self) -> Registry | None:
        """The private registry beside it, if its profile has one."""
        house = self.profile.house
        return Registry(self.state / "registry", house) if house else None

    def machine(self, of: Node) -> Machine:
        """Where a node lives."""
        return Machine(of.name, self.disks / of.name, self.programs, self.state, self.logs)

    @property
    def machines(self) -> list[Machine]:
        """Where all nodes live."""
        return [self.machine(of) for of in NODES]

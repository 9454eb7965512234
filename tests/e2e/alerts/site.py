"""What the cause of an alert strikes, and how it talks to the Valkey there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.credentials.identities import CONSUMER
from tests.chaos.api import NAMESPACE
from tests.e2e.storages import secret

if TYPE_CHECKING:
    from deploy.demo.kube import Kube, Object
    from reconciler.credentials.identities import Identity
    from tests.chaos.stand import Stand
    from tests.e2e.alerts.cuts import Cuts

LOGIN: Final = "read REDISCLI_AUTH; export REDISCLI_AUTH"


@dataclass(frozen=True)
class Site:
    """A storage of its own for each drill.

    Attributes:
        stand: The storage, without consumers; of no use to drills that are about the whole installation.
        cuts: The pods that all drills have cut off.
    """

    stand: Stand
    cuts: Cuts

    @property
    def kube(self) -> Kube:
        """The cluster."""
        return self.stand.kube

    def replicas(self) -> list[Object]:
        """List the pods of all instances but the primary."""
        primary = self.stand.primary()["metadata"]["uid"]
        return [pod for pod in self.stand.pods() if pod["metadata"]["uid"] != primary]

    def run(self, script: str, identity: Identity = CONSUMER) -> str:
        """Run a shell script beside the primary, and return what it printed; `valkey-cli` has this user's password.

        Raises:
            CommandFailed: It failed.
        """
        password = secret(self.kube, f"{self.stand.name}-auth", NAMESPACE)[identity.key]
        pod = self.stand.primary()["metadata"]["name"]
        command = ("exec", "-i", pod, "--", "sh", "-c", f"{LOGIN}; {script}")
        return self.kube.run(*command, stdin=f"{password}\n", namespace=NAMESPACE)

"""Runs the prober in a pod, with the rights that it needs, and reads its verdict."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.demo.kube import until
from shared import names
from tests.chaos.api import NAMESPACE
from tests.chaos.programs import Program
from tests.chaos.rotating.logins import logins, steady_places
from tests.chaos.writing import STEADY_SECONDS, NoVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.demo.kube import Object
    from tests.chaos.rotating.logins import Logins
    from tests.chaos.stand import Stand

MODULE: Final = "tests.chaos.rotating.prober"
ACCOUNT: Final = "prober"


@dataclass(frozen=True)
class Probing:
    """A running prober."""

    program: Program

    def await_steady(self) -> None:
        """Wait until a login has worked at every place."""
        places = len(self.program.stand.pods()) + 1
        until("the prober gets in", lambda: steady_places(self.program.output("--tail=1")) >= places, STEADY_SECONDS)

    def end(self, struck: float) -> Logins:
        """End it, and return its verdict on the fault that struck at this time.

        Raises:
            NoVerdict: It ended without one.
        """
        found = logins(lines := self.program.end(), struck)
        if found is None:
            raise NoVerdict(f"the prober ended without a verdict: {lines[-1:]}")
        return found


@contextmanager
def probing(stand: Stand) -> Iterator[Probing]:
    """Run a prober on another node than the primary's until the block ends."""
    secret = names.connection_secret(stand.name)
    selector = f"{names.LABEL_STORAGE}%3D{stand.name}"
    prober = Probing(Program.python(stand, MODULE, {"CONNECTION_SECRET": secret, "STORAGE_SELECTOR": selector}))
    stand.kube.apply(*rights(secret))
    try:
        prober.program.start(serviceAccountName=ACCOUNT, automountServiceAccountToken=True)
        prober.await_steady()
        yield prober
    finally:
        prober.program.remove()


def rights(secret: str) -> tuple[Object, ...]:
    """Write the service account and the role that let the prober read the connection Secret and list pods."""
    api = "rbac.authorization.k8s.io"
    metadata = {"name": ACCOUNT, "namespace": NAMESPACE}
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    )

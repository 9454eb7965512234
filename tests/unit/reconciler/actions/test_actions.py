"""The text that the log has for each step."""

from __future__ import annotations

import pytest

from reconciler.actions.kubernetes import Apply, Delete, LabelRole, Replace, Restart, Share, Write, WriteAuth
from reconciler.actions.plan import Step
from reconciler.actions.valkey import (
    Admit,
    EndScript,
    Fence,
    Follow,
    Promote,
    Remove,
    RestartServer,
    Resume,
    Retire,
    SwitchOver,
    TellPassword,
)
from reconciler.manifests import secrets
from reconciler.state.primary_record import PrimaryRecord
from shared.consumers.identity import Consumer
from shared.objects.resources import PODS, SECRETS, SERVICES
from shared.session_storage.sizes import Size
from tests.support.storages import (
    NOW,
    PASSWORDS,
    REPLICATION,
    RING,
    STORAGE,
    pod,
    primary,
    primary_service,
    replica,
    stored,
    workload,
)

OLD, NEW = primary(0, Size.LARGE), replica(1)
SERVICE = primary_service()
CLAIM = PrimaryRecord(1, 0).claim(1, "PrimaryLost", NOW)
CONNECTION = secrets.connection_secret(STORAGE, PASSWORDS["password"])

STEPS: list[tuple[Step, str]] = [
    (WriteAuth(STORAGE, RING, ""), "create Secret mine-auth"),
    (WriteAuth(STORAGE, RING, "7"), "replace Secret mine-auth"),
    (Apply(SERVICES, SERVICE.manifest), "apply Service mine-valkey"),
    (Replace(SERVICES, SERVICE.manifest), "replace Service mine-valkey"),
    (Write(SECRETS, CONNECTION), "create Secret mine-connection"),
    (Write(SECRETS, stored(CONNECTION)), "replace Secret mine-connection"),
    (
        Share(secrets.mirrored_secret(CONNECTION, "other")),
        "copy the connection to Secret other/team.mine-connection",
    ),
    (Delete.of(PODS, pod(0)), "delete Pod team/mine-valkey-0-0"),
    (Restart(Consumer("MCPServer", "team", "srv"), "r@now"), "restart MCPServer team/srv"),
    (LabelRole(pod(1), "replica"), "label pod mine-valkey-1-0 as replica"),
    (Admit(OLD, RING.accepted), "have pod mine-valkey-0-0 accept the passwords in force"),
    (Retire(OLD, {}), "have pod mine-valkey-0-0 refuse the former passwords"),
    (
        Retire(OLD, {}, frozenset()),
        "have pod mine-valkey-0-0 refuse the former passwords and close their sessions",
    ),
    (Promote(SERVICE, CLAIM, NEW, (), REPLICATION), "promote pod mine-valkey-1-0 to primary (PrimaryLost)"),
    (
        SwitchOver(SERVICE, CLAIM, OLD, NEW, (), REPLICATION, 1),
        "move the primary from pod mine-valkey-0-0 to pod mine-valkey-1-0 (PrimaryLost)",
    ),
    (Follow(NEW, "10.1.0.1", REPLICATION), "have pod mine-valkey-1-0 follow the primary at 10.1.0.1"),
    (TellPassword(NEW, REPLICATION), "tell pod mine-valkey-1-0 the present password for replication"),
    (Fence(OLD, 1), "set min-replicas-to-write of pod mine-valkey-0-0 to 1"),
    (EndScript(OLD), "end the script that keeps pod mine-valkey-0-0 busy"),
    (RestartServer(OLD), "restart the server of pod mine-valkey-0-0, because nothing else ends its script"),
    (Resume(SERVICE, OLD), "have pod mine-valkey-0-0 take writes again"),
    (Remove(SERVICE, workload(2, Size.LARGE), None), "remove instance mine-valkey-2 with its volume"),
]


@pytest.mark.parametrize(("step", "words"), STEPS, ids=[words for _, words in STEPS])
def test_the_text_of_a_step_names_action_and_object(step: Step, words: str) -> None:
    assert str(step) == words

"""What a plan is about to make, and has to be looked for past the caches first."""

from __future__ import annotations

from reconciler.actions.kubernetes import Apply, Write
from reconciler.actions.plan import Plan, apart
from reconciler.plan.creations import creations, without_creations
from shared.objects.resources import SECRETS, STATEFUL_SETS, VOLUME_CLAIMS, Object
from shared.session_storage.sizes import Size
from tests.support.storages import children, observed, workload

CLAIM: Object = {"metadata": {"name": "data-mine-valkey-0-0", "namespace": "team", "uid": "u"}}
STATE = observed("medium", children={})


def test_a_new_stateful_set_makes_a_claim_too() -> None:
    made = Plan(apart([Apply(STATEFUL_SETS, workload(0, Size.MEDIUM))]))
    assert creations(made, STATE) == [(STATEFUL_SETS, "mine-valkey-0"), (VOLUME_CLAIMS, "data-mine-valkey-0-0")]
    assert creations(made, observed("medium", children={}, claims={0: CLAIM})) == [(STATEFUL_SETS, "mine-valkey-0")]
    assert creations(made, observed("medium")) == []
    volatile = Plan(apart([Apply(STATEFUL_SETS, workload(0, Size.SMALL))]))
    assert creations(volatile, STATE) == [(STATEFUL_SETS, "mine-valkey-0")]
    assert without_creations(made, STATE).steps == ()


def test_what_replaces_an_object_of_a_known_version_makes_none() -> None:
    """The observer saw it, wherever it keeps it: a claim is no child."""
    version = {"metadata": CLAIM["metadata"] | {"resourceVersion": "7"}}
    secret = children(Size.SMALL)["secrets", "mine-auth"]
    steps = (Write(VOLUME_CLAIMS, version), Write(SECRETS, secret))
    assert creations(Plan(apart(steps)), STATE) == []
    assert without_creations(Plan(apart(steps)), STATE).steps == steps
    assert creations(Plan(apart([Write(VOLUME_CLAIMS, CLAIM)])), STATE) == [(VOLUME_CLAIMS, "data-mine-valkey-0-0")]

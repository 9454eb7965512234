"""Writes down every condition, reason and Event: `python -m tests.reference.conditions` prints the page.

`tests/reference/said.py` reads from the code what it can say, and what an Event's type is; `tests/reference/words` says
what each word means, and what to do.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.reference.said import words
from tests.reference.words.events import CERTIFICATES, MOVES
from tests.reference.words.others import CONSUMER, ERRORS, OTHERS
from tests.reference.words.passwords import OVERDUE, ROTATION
from tests.reference.words.readiness import OF_EXTERNAL_STORES, OF_KUBERNETES, READINESS
from tests.reference.words.replication import BLOCKED, CONSENT, HINDRANCES, REDUNDANCY, UPDATES
from tests.reference.words.types import CONSUMER_TYPE, PHASES, TYPES
from tests.reference.words.word import Part, tables_of

HEAD: Final = """\
<!-- Generated from what the code can say by `make generate`; do not edit. -->

# Conditions, reasons, phases and Events

Every word that the product writes into a status or an Event, what it means, and what you can do. The log uses the
same words. [Troubleshooting](../howto/troubleshooting.md) goes the other way, from what you see to what you do; the
messages say the same about your case, with names.

```sh
kubectl get sessionstorage team-storage -o wide        # phase, reason and message
kubectl describe sessionstorage team-storage           # all conditions, and the Events of the last hour
kubectl wait sessionstorage/team-storage --for=condition=Ready
```
"""
ABOUT_PHASES: Final = """\
## Phases

`status.phase` sums a storage up for people; `status.reason` and `status.message` say why. Programs read the
conditions.
"""
ABOUT_READINESS: Final = """\
The reasons of [`FailoverBlocked`](#reasons-of-failoverblocked-and-consentaccepted) stand here too while a failover
waits or is blocked.

### What Kubernetes says of a pod

These reasons are Kubernetes' own words, and so are the messages, with a next step added. Other words of kubelet about
a container that waits, such as `CreateContainerConfigError`, are passed on in the same way.
"""
ABOUT_HINDRANCES: Final = """\
When a ready storage is `Degraded`, `status.reason` says what hinders an instance. It is one of the words above, or
one of these:
"""
ABOUT_FAILOVER: Final = """\
## Reasons of `FailoverBlocked` and `ConsentAccepted`

[Availability](../howto/availability.md#failoverblocked) says how to decide.
"""
ABOUT_UPDATES: Final = """\
If an instance hinders the change, the reason is that instance's.
"""
ABOUT_ROTATION: Final = """\
## Reasons of `CredentialRotated` and `PasswordOverdue`

`status.rotation.phase` has the same words, but for `ConsumersWait`. [Rotate](../howto/rotate.md) explains them.
"""
ABOUT_OTHERS: Final = """\
`CredentialHandedOn` has [an external store's reasons](#what-an-external-store-answers): they say why what the spec or
the Secret says does not work. `Reconciling` and `Stalled` repeat another condition, or the phase.

The other reasons of `Reconciled` name the kind of error that ended the pass. The reconciler tries again by itself.
"""
ABOUT_EVENTS: Final = """\
## Events

An Event of a storage repeats a condition: its reason is the condition's, its note the message. `Warning` means that
somebody should look. No Event is the only signal of what it reports. A change of the primary has one more Event,
whose reason `status.lastFailover` keeps:
"""
ABOUT_CERTIFICATES: Final = """\
Events about the webhook's certificates belong to the Secret `<release>-webhook-tls`;
[certificates](../howto/certificates.md) explains the phases.
"""
PAGE: Final[tuple[Part, ...]] = (
    *(HEAD, ABOUT_PHASES, PHASES),
    *("## Conditions of a storage\n", TYPES),
    *("## Reasons of `Ready` and `Available`\n", READINESS, ABOUT_READINESS, OF_KUBERNETES),
    *("### What an external store answers\n", OF_EXTERNAL_STORES),
    *("## Reasons of `Redundant`\n", REDUNDANCY, ABOUT_HINDRANCES, HINDRANCES),
    *(ABOUT_FAILOVER, BLOCKED, CONSENT),
    *("## Reasons of `Updating` and `SizeApplied`\n", UPDATES, ABOUT_UPDATES),
    *(ABOUT_ROTATION, ROTATION, OVERDUE),
    *("## Reasons of the other conditions\n", OTHERS, ABOUT_OTHERS, ERRORS),
    *("## The condition of a consumer\n", CONSUMER_TYPE, CONSUMER),
    *(ABOUT_EVENTS, MOVES, ABOUT_CERTIFICATES, CERTIFICATES),
)


def document() -> str:
    return "\n".join(part if isinstance(part, str) else part.text for part in PAGE)


def explained() -> set[str]:
    """List the words that the page explains."""
    return {name for table in tables_of(PAGE) for name in table.names}


def reasons_of(condition: str) -> set[str]:
    """List the reasons that the page gives to a condition."""
    return {name for table in tables_of(PAGE) if condition in table.conditions for name in table.names}


def problems() -> list[str]:
    """Say what keeps the page from explaining the words of the code, and no others."""
    there, said = explained(), words()
    missing = [f"{word}: no table of tests/reference/words explains it" for word in sorted(said - there)]
    return [*missing, *(f"{word}: the code does not say it any more" for word in sorted(there - said))]


if __name__ == "__main__":
    if found := problems():
        sys.exit("\n".join(found))
    sys.stdout.write(document())

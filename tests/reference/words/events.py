"""Events that no condition has."""

from __future__ import annotations

from typing import Final

from tests.reference.said import certificate_event_types, move_types
from tests.reference.words.word import NOTHING, Table, Word

MOVES: Final = Table(
    (
        Word(
            ("PrimaryLost",),
            "it was lost",
            "why it was lost: the Events of its pod and node, `kubectl logs <pod> --previous`",
        ),
        Word(
            ("PrimaryReturned",),
            "it came back as the one with the newest data",
            "why it was away; the storage served nobody meanwhile",
        ),
        Word(
            ("PromotedByHand",),
            "somebody gave a consent",
            "take the annotation out; see [availability](../howto/availability.md#failoverblocked)",
        ),
        Word(
            ("ScriptRuns",),
            "a script that has written kept it busy",
            (
                "find the consumer with that script; see"
                " [availability](../howto/availability.md#a-primary-that-runs-and-does-not-serve)"
            ),
        ),
        Word(
            ("Asked",),
            "somebody asked, by the annotation `toolhive.stacklok.dev/switchover`",
            NOTHING,
        ),
        Word(
            ("NodeIsDrained",),
            "its node is being emptied",
            NOTHING,
        ),
        Word(
            ("InstanceIsOutdated",),
            "it had another image, size or configuration",
            NOTHING,
        ),
        Word(
            ("PodIsDeleted",),
            "somebody deleted or evicted its pod",
            NOTHING,
        ),
        Word(
            ("DiskFails",),
            "it could not write to its disk",
            "free space on that instance's disk, or replace its volume",
        ),
    ),
    kind="event",
    head=("reason", "the primary moved because", "next step"),
    event_types=move_types(),
)
CERTIFICATES: Final = Table(
    (
        Word(
            ("Bootstrap",),
            "a new authority was created and put to use at once",
            NOTHING,
        ),
        Word(
            ("TrustNext",),
            "a successor of the authority was created; API servers learn to trust both",
            NOTHING,
        ),
        Word(
            ("Switch",),
            "the successor signs from now on",
            NOTHING,
        ),
        Word(
            ("Retire",),
            "every webhook pod serves the new certificate, and the former authority goes",
            NOTHING,
        ),
        Word(
            ("CertificateIssued",),
            "there is a new serving certificate",
            NOTHING,
        ),
        Word(
            ("BundleRepaired",),
            "somebody changed `caBundle`, and the reconciler restored it",
            "find who writes `caBundle`, such as a GitOps tool, and have it leave that out",
        ),
        Word(
            ("RotationHeldUp",),
            "pods that the message names do not serve the new certificate yet",
            "the logs of these pods",
        ),
        Word(
            ("Stable",),
            "the phase in which nothing is under way",
            NOTHING,
        ),
    ),
    kind="event",
    event_types=certificate_event_types(),
)

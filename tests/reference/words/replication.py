"""Redundancy, failovers and planned changes."""

from __future__ import annotations

from typing import Final

from tests.reference.words.word import NOTHING, Table, Word

REDUNDANCY: Final = Table(
    (
        Word(
            ("InSync",),
            "all replicas could take over",
            "none; if the message says that instances share a node, add a node",
        ),
        Word(
            ("ReplicasMissing",),
            "fewer replicas could take over than the size promises",
            "the message names each instance and what hinders it",
        ),
    ),
    conditions=("Redundant",),
)
HINDRANCES: Final = Table(
    (
        Word(
            ("PodMissing",),
            "an instance has had no pod for 20 s",
            "the Events of its StatefulSet",
        ),
        Word(
            ("Restarted",),
            "the server of an instance has crashed, and starts again",
            "`kubectl logs <pod> --previous`",
        ),
        Word(
            ("LinkDown",),
            "an instance runs, and does not follow the primary",
            "its log; NetworkPolicies between the storage's pods",
        ),
        Word(
            ("PrimaryMissing",),
            "no replica can be in sync, because the primary does not serve",
            "see `Ready`",
        ),
    ),
    conditions=("Ready", "Available", "Updating"),
)
BLOCKED: Final = Table(
    (
        Word(
            ("PrimaryMayServe",),
            "the primary may still take writes, unseen",
            "bring it back, or delete its pod if its node is lost for good",
        ),
        Word(
            ("CandidateBehind",),
            "the best instance may lack what others received",
            "bring the others back, or run the command in the message",
        ),
        Word(
            ("HistoriesDiffer",),
            "no instance has a history that continues those of all others",
            "the same",
        ),
        Word(
            ("InstancesMissing",),
            "no instance that answers is known to have the newest data",
            "the same",
        ),
        Word(
            ("DataUnclear",),
            "the primary is empty, and nothing tells which other instance has newer data",
            "the same",
        ),
        Word(
            ("Decided",),
            "nothing is in the way of a failover any more",
            NOTHING,
        ),
    ),
    conditions=("FailoverBlocked", "Ready", "Available"),
    head=("reason of `FailoverBlocked`", "it means", "next step"),
)
CONSENT: Final = Table(
    (
        Word(
            ("Promotes",),
            "the reconciler promotes the instance that you named",
            NOTHING,
        ),
        Word(
            ("Used",),
            "it has done so; the value counts for nothing from now on",
            NOTHING,
        ),
        Word(
            ("OutdatedConsent",),
            "the value names another incident, or none",
            "the command in the message, if a failover waits",
        ),
        Word(
            ("UnknownInstance",),
            "the storage has no such instance",
            "name one of the message",
        ),
        Word(
            ("InstanceNotReady",),
            "that instance does not answer yet",
            "wait",
        ),
        Word(
            ("InstanceEmpty",),
            "that instance is empty, and another one has data",
            "name another one",
        ),
        Word(
            ("InstanceBehind",),
            "another instance has all that this one has, and more",
            "name that one",
        ),
    ),
    conditions=("ConsentAccepted",),
    head=("reason of `ConsentAccepted`", "it means", "next step"),
)
UPDATES: Final = Table(
    (
        Word(
            ("InstanceAdded",),
            "the reconciler adds an instance that is to take over",
            NOTHING,
        ),
        Word(
            ("InstanceStarts",),
            "a new instance starts, or receives the data",
            NOTHING,
        ),
        Word(
            ("MovingPrimary",),
            "another instance becomes the primary; writes wait for a moment",
            NOTHING,
        ),
        Word(
            ("InstanceRestarts",),
            "the reconciler updates a replica",
            NOTHING,
        ),
        Word(
            ("InstanceRemoved",),
            "an instance goes that is not needed, or shares its node",
            NOTHING,
        ),
        Word(
            ("RestartsInPlace",),
            "no node has room for a second instance, so the only one restarts where it is",
            "clients wait for some seconds",
        ),
        Word(
            ("NoRoom",),
            "the same, and a restart would not help",
            "add a node, or free room",
        ),
        Word(
            ("WaitsForItsTurn",),
            "updates of other storages go first",
            "none; chart value `valkey.updatesAtOnce`",
        ),
        Word(
            ("GaveWay",),
            "the update got nowhere for ten minutes, so others go first",
            "the other conditions",
        ),
        Word(
            ("UpToDate",),
            "all instances are up to date",
            NOTHING,
        ),
        Word(
            ("Resizing",),
            "`SizeApplied`: the primary still has the former size",
            "see `Updating`",
        ),
    ),
    conditions=("Updating", "SizeApplied"),
)

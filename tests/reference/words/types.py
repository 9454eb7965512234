"""Phases, and the types of conditions."""

from __future__ import annotations

from typing import Final

from tests.reference.words.word import NOTHING, Table, Word

PHASES: Final = Table(
    (
        Word(
            ("Pending",),
            (
                "something must exist or be decided before the reconciler can begin, or an external store has never "
                "worked"
            ),
            "the message says what",
        ),
        Word(
            ("Provisioning",),
            "the storage has not been ready yet",
            "wait for seconds; the message says what it waits for",
        ),
        Word(
            ("Ready",),
            "consumers can use the storage",
            NOTHING,
        ),
        Word(
            ("Rotating",),
            "the same, while the passwords change",
            "none; see [rotate](../howto/rotate.md)",
        ),
        Word(
            ("Degraded",),
            (
                "with `READY` `True`: something hinders redundancy, a change or a rotation. With `READY` `False`: a "
                "storage that was ready is not any more"
            ),
            "the message says what",
        ),
        Word(
            ("Failed",),
            "the reconciler cannot read the spec, or Kubernetes refuses an object that consumers need",
            "correct what the message names",
        ),
        Word(
            ("Terminating",),
            "somebody has deleted the storage, and Kubernetes still keeps it: `--cascade=foreground`, or a finalizer",
            "wait; see which finalizer is left on it",
        ),
    ),
    kind="phase",
    head=("phase", "it means", "next step"),
)
TYPES: Final = Table(
    (
        Word(
            ("Ready",),
            "whether consumers can use the storage: a write succeeds",
            "always",
        ),
        Word(
            ("Available",),
            "the same for a managed storage; its time tells since when",
            "for managed storages",
        ),
        Word(
            ("Redundant",),
            "whether all replicas could take over",
            "for storages with replicas",
        ),
        Word(
            ("FailoverBlocked",),
            (
                "`True`: the primary is gone, and only a person, or an instance that comes back, can settle which "
                "one follows"
            ),
            "from the first time on",
        ),
        Word(
            ("ConsentAccepted",),
            "what became of the annotation `toolhive.stacklok.dev/promote`",
            "while there is the annotation",
        ),
        Word(
            ("Updating",),
            "a planned change: another size, image or configuration, a drained node, a switchover",
            "from the first change on",
        ),
        Word(
            ("SizeApplied",),
            "`False` while the primary still has another size than `spec.size`",
            "during a change of the size",
        ),
        Word(
            ("CredentialRotated",),
            "how far the newest rotation of the passwords is",
            "from the first rotation on",
        ),
        Word(
            ("PasswordOverdue",),
            "`True`: Valkey accepts a password that is older than `spec.rotation.every`",
            "from the first time on",
        ),
        Word(
            ("ConsumersAdmitted",),
            "`False`: some consumers may not use the storage, or cannot get its connection Secret",
            "while that is so",
        ),
        Word(
            ("ProxiesSupported",),
            "whether ToolHive's proxies can use an external store",
            "for external storages",
        ),
        Word(
            ("CredentialHandedOn",),
            (
                "`False`: what the spec or the Secret of an external storage says does not work, and consumers keep "
                "the connection before"
            ),
            "while that is so",
        ),
        Word(
            ("ChangesAccepted",),
            "`False`: Kubernetes refuses an object of the storage",
            "while that is so",
        ),
        Word(
            ("CredentialCopied",),
            "`False`: a namespace refuses its copy of the connection Secret",
            "while that is so",
        ),
        Word(
            ("ObjectsUnaltered",),
            "`False`: somebody else changes objects of the storage, and the reconciler leaves that",
            "while that is so",
        ),
        Word(
            ("Reconciled",),
            "`False`: the reconciler could not finish its last passes over the storage",
            "while that is so",
        ),
        Word(
            ("Reconciling",),
            (
                "`True`: the storage is not yet what its spec asks for, and may come right by itself; Flux and Helm "
                "4 go on waiting"
            ),
            "while that is so",
        ),
        Word(
            ("Stalled",),
            "`True`: the same, and nothing but a person's act can change it; Flux and Helm 4 give up",
            "while that is so",
        ),
    ),
    kind="type",
    head=("type", "it is about", "written"),
)
CONSUMER_TYPE: Final = Table(
    (
        Word(
            ("SessionStorageResolved",),
            "whether an `MCPServer`, `MCPRemoteProxy` or `VirtualMCPServer` may use the storage to which it refers",
            "from the first problem on, each time with an Event of the same reason",
        ),
    ),
    kind="type",
    head=("type", "it is about", "written"),
)

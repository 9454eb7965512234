"""The other conditions of a storage, and that of a consumer."""

from __future__ import annotations

from typing import Final

from tests.reference.words.word import NOTHING, Joined, Table, Word

OTHERS: Final = Joined(
    (
        Table(
            (
                Word(
                    ("NotPermitted",),
                    "consumers refer to the storage from namespaces that it is not shared with",
                    "`spec.allowedNamespaces`, or the right to `use` the storage",
                ),
                Word(
                    ("NameTaken",),
                    "somebody else's Secret has the name of a copy of the connection Secret",
                    "delete that Secret",
                ),
            ),
            conditions=("ConsumersAdmitted",),
        ),
        Table(
            (
                Word(
                    ("PlainTcp", "TlsWithSystemRoots", "TlsWithCa"),
                    "proxies are connected: without TLS, or trusting the system's roots or `ca.crt`",
                    NOTHING,
                ),
                Word(
                    ("UserNameNotSupported",),
                    "proxies cannot log in with a user name",
                    "a password of the user `default`",
                ),
                Word(
                    ("TlsNotSupported",),
                    "this ToolHive's proxies cannot speak TLS",
                    "upgrade ToolHive, or `redis://`",
                ),
                Word(
                    ("NotChecked",),
                    "the Secret has no readable password yet",
                    "add it",
                ),
            ),
            conditions=("ProxiesSupported",),
        ),
        Table(
            (
                Word(
                    ("ApplyRefused",),
                    "Kubernetes refuses an object",
                    "the message has the API server's own words",
                ),
            ),
            conditions=("ChangesAccepted",),
        ),
        Table(
            (
                Word(
                    ("CopyRefused",),
                    "a namespace refuses its copy of the connection Secret",
                    "the message names it and says why",
                ),
            ),
            conditions=("CredentialCopied",),
        ),
        Table(
            (
                Word(
                    ("Rewritten",),
                    "a policy, a webhook or another controller changes objects of the storage",
                    "none, if it is meant so",
                ),
                Word(
                    ("AddedTo",),
                    "what was added can get at the storage's data and passwords",
                    "exempt the namespace, unless you trust it",
                ),
            ),
            conditions=("ObjectsUnaltered",),
        ),
        Table(
            (
                Word(
                    ("UnexpectedError",),
                    "an error that nobody expected ended the pass",
                    "report it as a bug",
                ),
            ),
            conditions=("Reconciled",),
        ),
    )
)
ERRORS: Final = Table(
    (
        Word(
            ("ClusterError", "Unavailable", "NoAnswer"),
            "the API server does not answer, or asks to wait",
            "if it stays: whether the API server is well, and the reconciler reaches it",
        ),
        Word(
            ("NotFound", "AlreadyExists", "Conflict", "Expired"),
            "somebody else wrote at the same time",
            "if it stays: who else writes that object, such as a GitOps tool",
        ),
        Word(
            ("Forbidden",),
            "the reconciler lacks a right",
            "upgrade the chart with its RBAC",
        ),
        Word(
            ("Rejected",),
            "the API server refuses what the reconciler wants to write",
            "the message has the API server's own words: a policy, a quota, a webhook",
        ),
        Word(
            ("SessionStoreError", "StoreUnreachable", "StoreErred", "StoreHungUp", "StoreDown", "NameNotFound"),
            "an instance does not answer, or answers with an error",
            "if it stays: the instance's log; NetworkPolicies; the health of its node",
        ),
        Word(
            ("StoreRefused",),
            "an instance refuses the password",
            "if it stays: delete the instance's pod",
        ),
        Word(
            ("StoreMovedOn",),
            "an instance changed while the reconciler decided about it",
            NOTHING,
        ),
        Word(
            ("InvalidSpec",),
            "an object cannot be read",
            "correct it as the message says",
        ),
        Word(
            ("CertificateError",),
            "a key or certificate is malformed",
            "see [certificates](../howto/certificates.md)",
        ),
        Word(
            ("SessionStorageError",),
            "another error of the product itself",
            "report it as a bug",
        ),
    ),
    conditions=("Reconciled",),
)
CONSUMER: Final = Table(
    (
        Word(
            ("Resolved",),
            "the consumer may use the storage",
            NOTHING,
            "True",
        ),
        Word(
            ("NotReferred",),
            "the consumer refers to no storage any more",
            NOTHING,
            "True",
        ),
        Word(
            ("StorageNotFound",),
            "there is no such storage; pods wait for its Secret",
            "create it, or take the reference out",
            "False",
        ),
        Word(
            ("NotPermitted",),
            "the storage is not shared with the consumer's namespace",
            "have it shared",
            "False",
        ),
        Word(
            ("Contradiction",),
            "settings of the consumer's own contradict the storage",
            "take them out",
            "False",
        ),
    ),
    conditions=("SessionStorageResolved",),
)

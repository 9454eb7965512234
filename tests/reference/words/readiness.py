"""Why a storage is ready or not."""

from __future__ import annotations

from typing import Final

from tests.reference.words.word import NOTHING, Table, Word

READINESS: Final = Table(
    (
        Word(
            ("StorageReady",),
            "consumers can use the storage",
            NOTHING,
        ),
        Word(
            ("Provisioning",),
            "the reconciler creates Valkey's objects",
            "wait for seconds",
        ),
        Word(
            ("Starting",),
            "Valkey is starting",
            "wait for seconds",
        ),
        Word(
            ("LoadingData",),
            "Valkey, or the external store, reads its data from disk",
            "wait; if it does not end, its log",
        ),
        Word(
            ("NoReplicaInSync",),
            "the primary of a `large` storage takes no writes, because no replica follows it closely",
            "the message says what hinders each replica",
        ),
        Word(
            ("Unreachable",),
            "an instance runs, and has not answered for 20 s",
            "its log; NetworkPolicies; the health of its node",
        ),
        Word(
            ("ScriptRuns",),
            "a script of a consumer keeps Valkey from everybody else",
            (
                "wait: the reconciler ends it; see "
                "[availability](../howto/availability.md#a-primary-that-runs-and-does-not-serve)"
            ),
        ),
        Word(
            ("DiskFull",),
            "the disk of an instance is full, so it takes no writes",
            "free space, or choose a larger size",
        ),
        Word(
            ("WritesFail",),
            "an instance cannot write to its disk",
            "check the volume; free space there",
        ),
        Word(
            ("OutOfMemory",),
            "Valkey, or the external store, uses all its memory, and removing keys does not help",
            "choose a larger size; raise `maxmemory`, or set a policy that evicts keys",
        ),
        Word(
            ("CommandsFail",),
            "Valkey answers consumers with another error",
            "the message has it",
        ),
        Word(
            ("CredentialRefused",),
            "an instance accepts other passwords than the auth Secret holds",
            "the reconciler restarts it; if it stays, delete the pod",
        ),
        Word(
            ("PrimarySilent",),
            "the primary does not answer; the reconciler waits until it has certainly stopped taking writes",
            "wait for up to 5 s",
        ),
        Word(
            ("PrimaryStops",),
            "the primary is stopping, and a replica still hears it",
            "wait: a replica takes over within milliseconds",
        ),
        Word(
            ("UnreachableByUs",),
            "the primary does not answer the reconciler, but replicas hear it",
            "NetworkPolicies between the reconciler and the storage",
        ),
        Word(
            ("InvalidSpec",),
            "the reconciler cannot read the spec",
            "correct it as the message says",
        ),
        Word(
            ("NameTaken",),
            "an object with a name that the storage needs belongs to somebody else, or to a former storage",
            "delete it, or give the storage another name",
        ),
        Word(
            ("AdoptionNeeded",),
            "a backup, or a former storage of this name, left passwords or volumes",
            "[agree, or delete them](../howto/restore-a-cluster.md#agree)",
        ),
        Word(
            ("ApplyRefused",),
            "Kubernetes refuses an object that consumers need",
            "the message has the API server's own words",
        ),
        Word(
            ("Terminating",),
            "somebody has deleted the storage",
            "none",
        ),
    ),
    conditions=("Ready", "Available"),
)
OF_KUBERNETES: Final = Table(
    (
        Word(
            ("FailedCreate",),
            (
                "Kubernetes refuses to create the pod or its claim: a quota, a LimitRange, Pod Security, a policy, a "
                "webhook"
            ),
            "the message says which",
        ),
        Word(
            ("Unschedulable",),
            "no node takes the pod",
            "room on a node; the volume's zone; a default StorageClass",
        ),
        Word(
            ("ProvisioningFailed",),
            "nothing provides the volume",
            "the Events of the PersistentVolumeClaim",
        ),
        Word(
            ("FailedAttachVolume", "FailedMount", "FailedMapVolume"),
            "the volume does not come to the node",
            "the Events of the PersistentVolumeClaim; the storage driver",
        ),
        Word(
            ("FailedCreatePodSandBox", "NetworkNotReady"),
            "the node cannot start pods",
            "the node's network plugin",
        ),
        Word(
            ("ImagePullBackOff",),
            "the node cannot pull the image",
            "the chart value `valkey.image`; the registry's credentials",
        ),
        Word(
            ("CrashLoopBackOff",),
            "Valkey exits by itself, again and again",
            "`kubectl logs <pod> --previous`",
        ),
    ),
    conditions=("Ready", "Available", "Updating"),
)
OF_EXTERNAL_STORES: Final = Table(
    (
        Word(
            ("SecretNotFound",),
            "the Secret of `spec.external.secretRef` does not exist",
            "create it in the storage's namespace",
        ),
        Word(
            ("SecretKeyMissing",),
            "that Secret has no readable key `password`",
            "add it",
        ),
        Word(
            ("SecretKeyInvalid",),
            "a key of that Secret does not hold what it is for, such as a port or an address",
            "correct it; the message names the key",
        ),
        Word(
            ("HostNotAllowed",),
            "the installation does not let storages use this host",
            "another host, or the chart value `external.allowedHosts`",
        ),
        Word(
            ("DnsFailed",),
            "the host's name has no address",
            "the host in `spec.external.url`",
        ),
        Word(
            ("ConnectionRefused",),
            "nothing listens at that address and port",
            "host and port; whether the store runs",
        ),
        Word(
            ("TimedOut",),
            "no answer within 5 s",
            "the address; NetworkPolicies and firewalls in between",
        ),
        Word(
            ("TlsFailed",),
            "the certificate is not trusted, or names another server",
            "the Secret's `ca.crt`; the name in the URL",
        ),
        Word(
            ("NotRedis",),
            "what answers does not speak Redis' protocol",
            "host and port; `rediss://` for a port that speaks TLS",
        ),
        Word(
            ("ProtectedMode",),
            "the store has no password and serves its own host alone",
            "a password, or `protected-mode no`",
        ),
        Word(
            ("TooManyClients",),
            "the store takes no more connections",
            "its `maxclients`",
        ),
        Word(
            ("AuthenticationFailed",),
            "user name or password are wrong, or the user may not read and write",
            "the Secret; the store's ACL",
        ),
        Word(
            ("SentinelMode",),
            "the URL leads to a Sentinel",
            "the Service or address of the primary",
        ),
        Word(
            ("ClusterMode",),
            "the store runs in cluster mode",
            "a store without it: ToolHive's proxies are no cluster clients",
        ),
        Word(
            ("ReadOnly",),
            "the URL leads to a replica",
            "the primary",
        ),
        Word(
            ("ScriptRunning",),
            "the store runs a script that does not end",
            "`SCRIPT KILL`",
        ),
        Word(
            ("CannotSave",),
            "the store's disk fails or is full, so it takes no writes",
            "its log; space",
        ),
        Word(
            ("TooFewReplicas",),
            "the store takes no writes without more replicas",
            "its replicas; its `min-replicas-to-write`",
        ),
        Word(
            ("StoreUnusable",),
            "the store answers with another error, or hangs up in between",
            "its log",
        ),
    ),
    conditions=("Ready", "CredentialHandedOn"),
)

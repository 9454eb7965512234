"""Every refusal of a SessionStorage."""

from __future__ import annotations

from typing import Final

from tests.rules.rule import EXTERNAL, StorageRule

_URL_ALONE: Final = (
    "spec.external.url: Forbidden: must be redis://host[:port][/db] (or rediss://, valkey://, valkeys://) without user"
    " or password: put the password into the Secret that spec.external.secretRef names"
)
_NAME_ALONE: Final = (
    "metadata.name must be at most 40 lower-case letters, digits or '-', start with a letter and end with a letter or"
    " digit: Services and StatefulSets are named after it"
)
_SIZES_SAID: Final = 'supported values: "small", "medium", "large"'
_KIND_CHANGE: Final = (
    "spec.external: Forbidden: a storage cannot change between managed and external in place: create a new"
    " SessionStorage"
)
_OBJECT_NAME: Final = "must consist of lower-case letters, digits, '-' or '.', and start and end with a letter or digit"
_OBJECT_NAME_PATTERN: Final = r"'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'"
_CLASS_CHANGE: Final = (
    "spec.storageClassName: Forbidden: a disk cannot change its StorageClass in place: create a new SessionStorage"
)
_METADATA_KEY: Final = (
    "must be the name of a label or annotation, such as team or example.com/team: up to 63 letters, digits, '-', '_' or"
    " '.', and a domain before them or none"
)
_RESERVED: Final = (
    "is reserved: this product and Kubernetes give names under toolhive.stacklok.dev, kubernetes.io and k8s.io their"
    " meaning; free are app.kubernetes.io/component, created-by, part-of and version"
)
_LABEL_VALUE: Final = "must be the value of a label: up to 63 letters, digits, '-', '_' or '.'"
_INTERVAL: Final = "must be a time of hours and minutes, such as 720h or 90m, and at least 1h"
_NAMES: Final = "Services, StatefulSets and labels of their pods contain the storage's name."
_ONE_SCHEMA: Final = "The field has one type; the webhook does not guess what a value of another type means."
_KEPT_APART: Final = "A managed and an external storage keep sessions in different places: a change would lose them."
_NO_PASSWORDS: Final = "Everybody who may read storages could read it. The message repeats no part of the address."
_ADDRESS: Final = "Clients read any other form of address in different ways."
_PRIMARY: Final = "name the primary's Service, as redis://host:port"
_NO_CLIENTS: Final = "ToolHive's proxies are clients of one server, and ask nobody else where it is."

RULES: Final = (
    StorageRule(
        when="there is no `spec`",
        spec=None,
        says="spec: Required value",
        alone="spec: Required value",
        why="An empty `spec: {}` is enough; a missing one is more likely a slip of indentation.",
    ),
    StorageRule(
        when="`spec` is not an object",
        spec=["size"],
        says="spec: Invalid value: must be an object",
        alone='spec: Invalid value: "array": spec in body must be of type object: "array"',
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="the size is unknown",
        spec={"size": "huge"},
        says=f'spec.size: Unsupported value: "huge": {_SIZES_SAID}',
        alone=f'spec.size: Unsupported value: "huge": {_SIZES_SAID}',
        why="There are three sizes; each sets memory, CPU, disk and more together.",
    ),
    StorageRule(
        when="the size is not a string",
        spec={"size": ["small"]},
        says="spec.size: Invalid value: must be a string",
        alone='spec.size: Invalid value: "array": spec.size in body must be of type string: "array"',
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="a managed storage would become external",
        old={"size": "small"},
        spec={"external": EXTERNAL},
        says=_KIND_CHANGE,
        alone=_KIND_CHANGE,
        why=_KEPT_APART,
    ),
    StorageRule(
        when="an external storage would become managed",
        old={"external": EXTERNAL},
        spec={"size": "small"},
        says=_KIND_CHANGE,
        alone=_KIND_CHANGE,
        why=_KEPT_APART,
    ),
    StorageRule(
        when="an external storage has neither an address nor a Secret",
        spec={"external": {}},
        says=("spec.external: Required value: url, or in place of it a secretRef whose Secret says where the store is"),
        alone="spec.external: Invalid value: 0: spec.external in body should have at least 1 properties",
        why="Only the author knows where the store is.",
    ),
    StorageRule(
        when="the address names Sentinels",
        spec={"external": {**EXTERNAL, "url": "redis-sentinel://a:26379,b:26379/mymaster/0"}},
        says=f"spec.external.url: Unsupported value: Sentinel is not supported: {_PRIMARY}",
        alone=_URL_ALONE,
        why=_NO_CLIENTS,
    ),
    StorageRule(
        when="the address names a cluster",
        spec={"external": {**EXTERNAL, "url": "redis+cluster://redis.example.com:6379"}},
        says=(
            "spec.external.url: Unsupported value: cluster mode is not supported, because ToolHive's proxies are no"
            " cluster clients: use a store with cluster mode disabled, and name it as redis://host:port"
        ),
        alone=_URL_ALONE,
        why="Such a store answers MOVED to most keys.",
    ),
    StorageRule(
        when="the address names several hosts",
        spec={"external": {**EXTERNAL, "url": "redis://a:6379,b:6379"}},
        says=f"spec.external.url: Invalid value: must name one host: {_PRIMARY}",
        alone=_URL_ALONE,
        why=_NO_CLIENTS,
    ),
    StorageRule(
        when="the address is a socket",
        spec={"external": {**EXTERNAL, "url": "unix:///run/redis.sock"}},
        says=(
            "spec.external.url: Unsupported value: a socket is on one host alone: have the store listen on a port, and"
            " name its Service as redis://host:port"
        ),
        alone=_URL_ALONE,
        why="The pods of consumers run on any node.",
    ),
    StorageRule(
        when="the address is a connection string of .NET, as Azure's portal shows it",
        spec={"external": {**EXTERNAL, "url": "my.redis.cache.windows.net:6380,password=hunter2,ssl=True"}},
        says=(
            "spec.external.url: Unsupported value: this is the connection string of a .NET client: write"
            " rediss://host:port, and put the password into the Secret that spec.external.secretRef names"
        ),
        alone=_URL_ALONE,
        why=_NO_PASSWORDS,
    ),
    StorageRule(
        when="the address has another scheme",
        spec={"external": {**EXTERNAL, "url": "http://redis.example.com"}},
        says="spec.external.url: Unsupported value: must start with redis://, rediss://, valkey://, valkeys://",
        alone=_URL_ALONE,
        why="The scheme says whether clients use TLS; clients know these four.",
    ),
    StorageRule(
        when="the address has no host",
        spec={"external": {**EXTERNAL, "url": "redis://:6379"}},
        says="spec.external.url: Invalid value: must name a host, and a port between 1 and 65535 or none",
        alone=_URL_ALONE,
        why="Without a host, clients cannot connect.",
    ),
    StorageRule(
        when="the address has a password inside",
        spec={"external": {**EXTERNAL, "url": "redis://someone:hunter2@redis.example.com"}},
        says=(
            "spec.external.url: Forbidden: must not hold a user name or password: put them into the Secret that"
            " spec.external.secretRef names"
        ),
        alone=_URL_ALONE,
        why=_NO_PASSWORDS,
    ),
    StorageRule(
        when="the address has a query or fragment",
        spec={"external": {**EXTERNAL, "url": "redis://redis.example.com?password=hunter2"}},
        says=(
            "spec.external.url: Forbidden: must not have a query or fragment: rediss:// asks for TLS, /1 for the"
            " database 1, and certificates belong into the Secret's key ca.crt"
        ),
        alone=_URL_ALONE,
        why=f"{_ADDRESS} People put passwords there, too.",
    ),
    StorageRule(
        when="the address has another form",
        spec={"external": {**EXTERNAL, "url": "redis://redis.example.com/a/b"}},
        says=_URL_ALONE.replace("Forbidden", "Invalid value"),
        alone=_URL_ALONE,
        why=_ADDRESS,
    ),
    StorageRule(
        when="the address is too long",
        spec={"external": {**EXTERNAL, "url": "redis://" + "x" * 505}},
        says="spec.external.url: Too long: may not be more than 512 bytes",
        alone="spec.external.url: Too long: may not be more than 512 bytes",
        why="A host name has at most 253 characters.",
    ),
    StorageRule(
        when="`external` is not an object",
        spec={"external": "redis://redis.example.com"},
        says="spec.external: Invalid value: must be an object",
        alone='spec.external: Invalid value: "string": spec.external in body must be of type object: "string"',
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="the name of the Secret is not a valid one",
        spec={"external": {**EXTERNAL, "secretRef": "Redis/Auth"}},
        says=(
            "spec.external.secretRef: Invalid value: \"Redis/Auth\": must consist of lower-case letters, digits, '-' or"
            " '.', and start and end with a letter or digit"
        ),
        alone=(
            'spec.external.secretRef: Invalid value: "Redis/Auth": spec.external.secretRef in body should match'
            f" {_OBJECT_NAME_PATTERN}"
        ),
        why=(
            "No Secret can have that name. The field cannot name a Secret of another namespace, because authors could"
            " read Secrets that way."
        ),
    ),
    StorageRule(
        when="the Secret's name is too long",
        spec={"external": {**EXTERNAL, "secretRef": "x" * 254}},
        says="spec.external.secretRef: Too long: may not be more than 253 bytes",
        alone="spec.external.secretRef: Too long: may not be more than 253 bytes",
        why="No Secret can have that name.",
    ),
    StorageRule(
        when="`secretRef` is neither a name nor an object",
        spec={"external": {**EXTERNAL, "secretRef": 5}},
        says="spec.external.secretRef: Invalid value: must be a name, or an object with a name and keys",
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="`secretRef` is an object without a name",
        spec={"external": {**EXTERNAL, "secretRef": {"passwordKey": "redis-password"}}},
        says="spec.external.secretRef.name: Required value",
        alone="spec.external.secretRef.name: Required value",
        why="The keys are those of one Secret.",
    ),
    StorageRule(
        when="`secretRef` has an unknown field",
        spec={"external": {**EXTERNAL, "secretRef": {"name": "redis-auth", "key": "redis-password"}}},
        says='spec.external.secretRef: Invalid value: unknown field "key"',
        why="A misspelt field would have no effect, and the product would read another key.",
    ),
    StorageRule(
        when="`secretRef` has more than five unknown fields",
        spec={"external": {**EXTERNAL, "secretRef": {"name": "redis-auth"} | dict.fromkeys("abcdefg", "x")}},
        besides=tuple(f'spec.external.secretRef: Invalid value: unknown field "{field}"' for field in "abcde"),
        says="spec.external.secretRef: Invalid value: 2 more unknown fields",
        why="An object may have a hundred thousand.",
    ),
    StorageRule(
        when="a key of `secretRef` is not a valid one",
        spec={"external": {**EXTERNAL, "secretRef": {"name": "redis-auth", "passwordKey": "pass word"}}},
        says=(
            "spec.external.secretRef.passwordKey: Invalid value: \"pass word\": must consist of letters, digits, '-',"
            " '_' or '.'"
        ),
        alone=(
            'spec.external.secretRef.passwordKey: Invalid value: "pass word": spec.external.secretRef.passwordKey in'
            " body should match '^[-._a-zA-Z0-9]+$'"
        ),
        why="No Secret can have such a key.",
    ),
    StorageRule(
        when="a key of `secretRef` is too long",
        spec={"external": {**EXTERNAL, "secretRef": {"name": "redis-auth", "passwordKey": "x" * 254}}},
        says="spec.external.secretRef.passwordKey: Too long: may not be more than 253 bytes",
        alone="spec.external.secretRef.passwordKey: Too long: may not be more than 253 bytes",
        why="No Secret can have such a key.",
    ),
    StorageRule(
        when="`rotation` has no interval",
        spec={"size": "small", "rotation": {}},
        says="spec.rotation.every: Required value",
        alone="spec.rotation.every: Required value",
        why="There is no default: the author decides how often consumers restart.",
    ),
    StorageRule(
        when="the interval of `rotation` is shorter than an hour, or written otherwise",
        spec={"size": "small", "rotation": {"every": "30m"}},
        says=f'spec.rotation.every: Invalid value: "30m": {_INTERVAL}',
        alone=f'spec.rotation.every: Invalid value: "30m": {_INTERVAL}',
        why="A rotation restarts every consumer; hours and minutes can express every sensible interval.",
    ),
    StorageRule(
        when="the text of the interval of `rotation` is too long",
        spec={"size": "small", "rotation": {"every": "0" * 16 + "h"}},
        says="spec.rotation.every: Too long: may not be more than 16 bytes",
        alone="spec.rotation.every: Too long: may not be more than 16 bytes",
        why="`99999h` is already eleven years; the API server limits the cost of rules, which grows with the text.",
    ),
    StorageRule(
        when="`allowedNamespaces` is not a list",
        spec={"allowedNamespaces": "team-a"},
        says="spec.allowedNamespaces: Invalid value: must be an array",
        alone=(
            'spec.allowedNamespaces: Invalid value: "string": spec.allowedNamespaces in body must be of type array:'
            ' "string"'
        ),
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="the name of a namespace is not a valid one",
        spec={"allowedNamespaces": ["team-*"]},
        says=(
            "spec.allowedNamespaces[0]: Invalid value: \"team-*\": must be the name of a namespace, or '*' for all of"
            " them"
        ),
        alone=(
            "spec.allowedNamespaces[0]: Invalid value: \"team-*\": must be the name of a namespace, or '*' for all of"
            " them"
        ),
        why="The product does not expand patterns: one would seem to share the storage, and would not.",
    ),
    StorageRule(
        when="a namespace is listed twice",
        spec={"allowedNamespaces": ["team-a", "team-a"]},
        says='spec.allowedNamespaces[1]: Duplicate value: "team-a"',
        alone='spec.allowedNamespaces[1]: Duplicate value: "team-a"',
        why="The list is a set: several people can then add to it by server-side apply.",
    ),
    StorageRule(
        when="the list of namespaces is too long",
        spec={"allowedNamespaces": [f"team-{number}" for number in range(101)]},
        says="spec.allowedNamespaces: Too many: 101: must have at most 100 items",
        alone="spec.allowedNamespaces: Too many: 101: must have at most 100 items",
        why="One NetworkPolicy lists all of them. `'*'` shares the storage with every namespace.",
    ),
    StorageRule(
        when="the name is too long",
        spec={"size": "small"},
        metadata={"name": "a-name-that-is-too-long-for-those-derived-from-it"},
        says="metadata.name: Too long: may not be more than 40 bytes",
        alone=_NAME_ALONE,
        why=f"{_NAMES} They have at most 63 characters, of which suffixes take up to 23.",
    ),
    StorageRule(
        when="the name is not valid for a Service",
        spec={"size": "small"},
        metadata={"name": "1st.storage"},
        says=(
            "metadata.name: Invalid value: \"1st.storage\": must consist of lower-case letters, digits or '-', start"
            " with a"
            " letter and end with a letter or digit"
        ),
        alone=_NAME_ALONE,
        why=_NAMES,
    ),
    StorageRule(
        when="a generated name would be too long",
        spec={"size": "small"},
        metadata={"generateName": "a-name-that-is-too-long-with-five-more-"},
        says="metadata.generateName: Too long: may not be more than 35 bytes",
        alone=_NAME_ALONE,
        why=f"{_NAMES} Kubernetes appends five characters to it.",
    ),
    StorageRule(
        when="a generated name would not be valid for a Service",
        spec={"size": "small"},
        metadata={"generateName": "1st-"},
        says=(
            "metadata.generateName: Invalid value: \"1st-\": must consist of lower-case letters, digits or '-', start"
            " with"
            " a letter"
        ),
        alone=_NAME_ALONE,
        why=_NAMES,
    ),
    StorageRule(
        when="the name of the StorageClass is not a valid one",
        spec={"size": "medium", "storageClassName": "Fast!"},
        says=f'spec.storageClassName: Invalid value: "Fast!": {_OBJECT_NAME}',
        alone=(
            'spec.storageClassName: Invalid value: "Fast!": spec.storageClassName in body should match'
            f" {_OBJECT_NAME_PATTERN}"
        ),
        why="No StorageClass can have that name.",
    ),
    StorageRule(
        when="the StorageClass changes",
        old={"size": "medium", "storageClassName": "slow"},
        spec={"size": "medium", "storageClassName": "fast"},
        says=_CLASS_CHANGE,
        alone=_CLASS_CHANGE,
        why="Kubernetes moves no volume from one class to another.",
    ),
    StorageRule(
        when="a StorageClass is named later",
        old={"size": "small"},
        spec={"size": "small", "storageClassName": "fast"},
        says=_CLASS_CHANGE,
        alone=_CLASS_CHANGE,
        why="What the storage has by then may have another class.",
    ),
    StorageRule(
        when="`inheritedMetadata` is not an object",
        spec={"size": "small", "inheritedMetadata": ["team"]},
        says="spec.inheritedMetadata: Invalid value: must be an object",
        alone=(
            'spec.inheritedMetadata: Invalid value: "array": spec.inheritedMetadata in body must be of type object:'
            ' "array"'
        ),
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="inherited labels are not an object",
        spec={"size": "small", "inheritedMetadata": {"labels": "team"}},
        says="spec.inheritedMetadata.labels: Invalid value: must be an object",
        alone=(
            'spec.inheritedMetadata.labels: Invalid value: "string": spec.inheritedMetadata.labels in body must be of'
            ' type object: "string"'
        ),
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="the name of an inherited label or annotation is not a valid one",
        spec={"size": "small", "inheritedMetadata": {"labels": {"my team": "a"}}},
        says=f'spec.inheritedMetadata.labels: Invalid value: "my team": {_METADATA_KEY}',
        alone=f"spec.inheritedMetadata.labels: Forbidden: each name {_METADATA_KEY}",
        why="Kubernetes would refuse every object of the storage.",
    ),
    StorageRule(
        when="the domain before the name of an inherited label or annotation is none",
        spec={"size": "small", "inheritedMetadata": {"annotations": {"a..b/team": "x"}}},
        says=f'spec.inheritedMetadata.annotations: Invalid value: "a..b/team": {_METADATA_KEY}',
        alone=f"spec.inheritedMetadata.annotations: Forbidden: each name {_METADATA_KEY}",
        why="The same: nobody could change an object of the storage any more, and no failover could follow.",
    ),
    StorageRule(
        when="the name of an inherited label or annotation is reserved",
        spec={"size": "small", "inheritedMetadata": {"annotations": {"toolhive.stacklok.dev/storage": "other"}}},
        says=f'spec.inheritedMetadata.annotations: Invalid value: "toolhive.stacklok.dev/storage": {_RESERVED}',
        alone=f"spec.inheritedMetadata.annotations: Forbidden: a name {_RESERVED}",
        why="By such names controllers find objects and are told what to do with them, this product's among them.",
    ),
    StorageRule(
        when="the value of an inherited label is not a valid one",
        spec={"size": "small", "inheritedMetadata": {"labels": {"team": "a/b"}}},
        says=f'spec.inheritedMetadata.labels.team: Invalid value: "a/b": {_LABEL_VALUE}',
        alone=f'Invalid value: "a/b": {_LABEL_VALUE}',
        why="Kubernetes would refuse every object of the storage. An annotation may have any value.",
    ),
    StorageRule(
        when="there are too many inherited labels or annotations",
        spec={"size": "small", "inheritedMetadata": {"labels": {f"label-{number}": "" for number in range(33)}}},
        says="spec.inheritedMetadata.labels: Too many: 33: must have at most 32 items",
        alone="spec.inheritedMetadata.labels: Too many: 33: must have at most 32 items",
        why="All objects of the storage carry them.",
    ),
)

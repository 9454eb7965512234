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
_INTERVAL: Final = "must be a time of hours and minutes, such as 720h or 90m, and at least 1h"
_NAMES: Final = "Services, StatefulSets and their pods' labels are named after the storage."
_ONE_SCHEMA: Final = "The field has one meaning; a value of another type has none."
_KEPT_APART: Final = "Their data are in different places, and neither can be moved to the other unnoticed."
_NO_PASSWORDS: Final = "Everybody who may read storages would read it. The message repeats nothing of the address."
_ADDRESS: Final = "Clients would not agree on what else an address could mean."

RULES: Final = (
    StorageRule(
        when="there is no `spec`",
        spec=None,
        says="spec: Required value",
        alone="spec: Required value",
        why="An empty one (`spec: {}`) is enough; none at all is more likely a slip of indentation.",
    ),
    StorageRule(
        when="`spec` is no object",
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
        why="A size binds memory, CPU, disk and more, and there are three of them.",
    ),
    StorageRule(
        when="the size is no word",
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
        when="an external storage has no address",
        spec={"external": {"secretRef": "redis-auth"}},
        says="spec.external.url: Required value",
        alone="spec.external.url: Required value",
        why="Nobody else knows where the store is.",
    ),
    StorageRule(
        when="the address has another scheme",
        spec={"external": {**EXTERNAL, "url": "http://redis.example.com"}},
        says="spec.external.url: Unsupported value: must start with redis://, rediss://, valkey://, valkeys://",
        alone=_URL_ALONE,
        why="The scheme says whether TLS is spoken; these are the ones that clients know.",
    ),
    StorageRule(
        when="the address has no host",
        spec={"external": {**EXTERNAL, "url": "redis://:6379"}},
        says="spec.external.url: Invalid value: must name a host, and a port between 1 and 65535 or none",
        alone=_URL_ALONE,
        why="There is nothing to connect to.",
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
        says="spec.external.url: Forbidden: must not have a query or fragment",
        alone=_URL_ALONE,
        why=f"{_ADDRESS} Passwords are put there, too.",
    ),
    StorageRule(
        when="the address is of another form",
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
        why="A host's name has at most 253 characters.",
    ),
    StorageRule(
        when="`external` is no object",
        spec={"external": "redis://redis.example.com"},
        says="spec.external: Invalid value: must be an object",
        alone='spec.external: Invalid value: "string": spec.external in body must be of type object: "string"',
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="the Secret's name cannot be one",
        spec={"external": {**EXTERNAL, "secretRef": "Redis/Auth"}},
        says=(
            "spec.external.secretRef: Invalid value: \"Redis/Auth\": must consist of lower-case letters, digits, '-' or"
            " '.', and start and end with a letter or digit"
        ),
        alone=(
            "spec.external.secretRef: Invalid value: \"Redis/Auth\": must consist of lower-case letters, digits, '-' or"
            " '.', and start and end with a letter or digit"
        ),
        why=(
            "No Secret can have that name. A Secret of another namespace cannot be named: that would be a way to read"
            " it."
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
        when="`rotation` says no interval",
        spec={"size": "small", "rotation": {}},
        says="spec.rotation.every: Required value",
        alone="spec.rotation.every: Required value",
        why="A schedule without a time would be a guess.",
    ),
    StorageRule(
        when="the interval of `rotation` is shorter than an hour, or written otherwise",
        spec={"size": "small", "rotation": {"every": "30m"}},
        says=f'spec.rotation.every: Invalid value: "30m": {_INTERVAL}',
        alone=f'spec.rotation.every: Invalid value: "30m": {_INTERVAL}',
        why="A rotation restarts every consumer; days and seconds would be words of their own for what hours say.",
    ),
    StorageRule(
        when="the interval of `rotation` is too long a text",
        spec={"size": "small", "rotation": {"every": "0" * 16 + "h"}},
        says="spec.rotation.every: Too long: may not be more than 16 bytes",
        alone="spec.rotation.every: Too long: may not be more than 16 bytes",
        why="Eleven years are `99999h`; the API server weighs what it takes to check a text by its length.",
    ),
    StorageRule(
        when="`allowedNamespaces` is no list",
        spec={"allowedNamespaces": "team-a"},
        says="spec.allowedNamespaces: Invalid value: must be an array",
        alone=(
            'spec.allowedNamespaces: Invalid value: "string": spec.allowedNamespaces in body must be of type array:'
            ' "string"'
        ),
        why=_ONE_SCHEMA,
    ),
    StorageRule(
        when="a namespace's name cannot be one",
        spec={"allowedNamespaces": ["team-*"]},
        says=(
            "spec.allowedNamespaces[0]: Invalid value: \"team-*\": must be the name of a namespace, or '*' for all of"
            " them"
        ),
        alone=(
            "spec.allowedNamespaces[0]: Invalid value: \"team-*\": must be the name of a namespace, or '*' for all of"
            " them"
        ),
        why="Patterns are not understood, and would seem to share what they do not.",
    ),
    StorageRule(
        when="a namespace is named twice",
        spec={"allowedNamespaces": ["team-a", "team-a"]},
        says='spec.allowedNamespaces[1]: Duplicate value: "team-a"',
        alone='spec.allowedNamespaces[1]: Duplicate value: "team-a"',
        why="The list is a set: several people can then add to it by server-side apply.",
    ),
    StorageRule(
        when="too many namespaces are named",
        spec={"allowedNamespaces": [f"team-{number}" for number in range(101)]},
        says="spec.allowedNamespaces: Too many: 101: must have at most 100 items",
        alone="spec.allowedNamespaces: Too many: 101: must have at most 100 items",
        why="A NetworkPolicy holds them all. `'*'` shares with every namespace.",
    ),
    StorageRule(
        when="the name is too long",
        spec={"size": "small"},
        metadata={"name": "a-name-that-is-too-long-for-those-derived-from-it"},
        says="metadata.name: Too long: may not be more than 40 bytes",
        alone=_NAME_ALONE,
        why=f"{_NAMES} Those have 63 characters, of which what is appended takes up to 23.",
    ),
    StorageRule(
        when="the name cannot be that of a Service",
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
        when="a name that is to be generated would be too long",
        spec={"size": "small"},
        metadata={"generateName": "a-name-that-is-too-long-with-five-more-"},
        says="metadata.generateName: Too long: may not be more than 35 bytes",
        alone=_NAME_ALONE,
        why=f"{_NAMES} Kubernetes appends five characters to it.",
    ),
    StorageRule(
        when="a name that is to be generated cannot be that of a Service",
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
)

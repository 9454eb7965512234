"""What a user may run without this product: a Valkey with a password, and servers that the user has connected to it.

The servers and their move are the manifests of `docs/howto/move-in.md`, with names that exist here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import yaml

from deploy.demo.proxies import COUNT
from deploy.local import paths
from reconciler.apply import passwords
from shared import names
from tests.e2e.consumers import GROUP, ORIGIN, Consumer, group, in_group, manifest
from tests.e2e.namespaces import THEIRS

if TYPE_CHECKING:
    from deploy.demo.images import Images
    from deploy.demo.kube import Object

SECRET: Final = "valkey"
HOST: Final = f"valkey.{THEIRS}.svc"
TWO_LABELS: Final = f"valkey.{THEIRS}"
"""The same Service, by a name that resolvers complete from their search list."""
PAGE: Final = paths.REPOSITORY / "docs" / "howto" / "move-in.md"
YAML_BLOCK: Final = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOVED: Final = "gateway"
"""The page's name of the storage."""
TOOLHIVE_PREFIX: Final = "thv:proxy:session:"
"""Where a remote proxy keeps its sessions if nobody says anything of a prefix, as the page has it."""

GATEWAY: Final = Consumer("VirtualMCPServer", "gateway", namespace=THEIRS)
"""Has a key prefix of its own, as on the page."""
REMOTE: Final = Consumer("MCPRemoteProxy", "by-hand", namespace=THEIRS)
"""Has none, and so ToolHive's."""
BY_HAND: Final = {GATEWAY: GATEWAY.tool, REMOTE: REMOTE.named(COUNT)}
"""A tool of each; a virtual server calls those that count per session without one."""
_ORIGIN: Final = Consumer("MCPServer", ORIGIN, namespace=THEIRS)


def valkey(images: Images) -> list[Object]:
    """Build a Valkey with a password."""
    labels = {"app": "valkey"}
    configured = 'printf "requirepass %s\\n" "$PASSWORD" | exec valkey-server - --bind 0.0.0.0 --save ""'
    container = {
        "name": "valkey",
        "image": images.valkey,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", configured],
        "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "password"}}}],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    metadata = {"name": "valkey", "namespace": THEIRS}
    return [
        login(passwords.generate()),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 6379}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
    ]


def login(password: str) -> Object:
    """Build its Secret, with the user name that providers hand out: it is the very user whom a password alone means."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        # The tests of passwords find it by this label.
        "metadata": {"name": SECRET, "namespace": THEIRS, "labels": {names.LABEL_STORAGE: "theirs"}},
        "stringData": {"username": "default", "password": password},
    }


def connected_by_hand(image: str) -> list[Object]:
    """Build the two servers as their user has connected them, and the MCP server to which both forward."""
    own, _, _ = _printed()
    without_prefix = {name: value for name, value in own["sessionStorage"].items() if name != "keyPrefix"}
    return [
        group(THEIRS),
        manifest(_ORIGIN, image, **in_group(_ORIGIN)),
        manifest(GATEWAY, image, **own),
        manifest(REMOTE, image, sessionStorage=without_prefix),
    ]


def stand_in() -> Object:
    """Build the storage that stands for the Valkey: the first apply of the page."""
    return _printed()[1]


def referring() -> list[Object]:
    """Build the two servers with a reference in place of the address: the second apply."""
    _, _, reference = _printed()
    with_default = {**reference, "sessionStorage": {"keyPrefix": TOOLHIVE_PREFIX}}
    return [manifest(GATEWAY, "", **reference), manifest(REMOTE, "", **with_default)]


def targets() -> list[str]:
    """Name all of these servers, and their group, as kubectl does."""
    return [*(f"{each.resource}/{each.name}" for each in (*BY_HAND, _ORIGIN)), f"mcpgroups/{GROUP}"]


def _printed() -> tuple[Object, Object, Object]:
    """Read the page's manifests: a spec with an address, the storage, and a spec with the reference in its place."""
    text = PAGE.read_text()
    for theirs, ours in (
        ("gateway-dragonfly.llm.svc", TWO_LABELS),
        ("gateway-redis", SECRET),
        ("namespace: llm", f"namespace: {THEIRS}"),
    ):
        text = text.replace(theirs, ours)
    own, storage, reference = map(yaml.safe_load, YAML_BLOCK.findall(text))
    return own["spec"], storage, reference["spec"]

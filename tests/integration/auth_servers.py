"""Builds what describes an auth server, with a reference to a storage or connected by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.rules.rule import auth_config, virtual_server

if TYPE_CHECKING:
    from shared.objects.resources import Object

SPECS = {"MCPExternalAuthConfig": auth_config, "VirtualMCPServer": virtual_server}


def described(kind: str, namespace: str, version: str = "v1beta1", own: Any = None, **spec: Any) -> Object:
    """Build an object that describes an auth server."""
    return {
        "apiVersion": f"toolhive.stacklok.dev/{version}",
        "kind": kind,
        "metadata": {"name": "login", "namespace": namespace},
        "spec": SPECS[kind](**(own or {})) | spec,
    }


def connected_by_hand(namespace: str) -> Object:
    """Build an auth server whose author wrote down the address and the Secret of storage `mine`, and no reference."""
    password = {"name": "mine-connection", "key": "REDIS_PASSWORD"}
    redis = {"addr": f"mine-valkey.{namespace}.svc:6379", "aclUserConfig": {"passwordSecretRef": password}}
    return described("MCPExternalAuthConfig", namespace, own={"storage": {"type": "redis", "redis": redis}})

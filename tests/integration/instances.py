"""Runs single Valkey instances as their pods do, with other paths and addresses."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import valkey
from valkey import exceptions

from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.identities import REPLICATION, Identity
from reconciler.manifests import valkey_config
from shared import names
from shared.session_storage.sizes import PRESETS, Size
from tests.integration import loopback
from tests.integration.kubelet import VALKEY_SERVER
from tests.integration.processes import eventually

ADDRESSES = {size: loopback.address(loopback.INSTANCES, number) for number, size in enumerate(Size)}
NOBODY = loopback.address(loopback.INSTANCES, 60_000)
PASSWORDS = {key: passwords.generate() for key in identities.PASSWORD_KEYS}
ADMIN = Identity("test-admin", "admin", "~* &* +@all")
ADMIN_PASSWORD = passwords.generate()


def connect(identity: Identity, address: str = ADDRESSES[Size.SMALL]) -> valkey.Valkey:
    password = ADMIN_PASSWORD if identity is ADMIN else PASSWORDS[identity.key]
    return valkey.Valkey(host=address, username=identity.user, password=password, socket_timeout=5)


@contextlib.contextmanager
def running(directory: Path, size: Size, *directives: str) -> Iterator[str]:
    """Run an instance; the tests add a user of their own.

    Args:
        directory: Directory of all its files.
        size: Size of the instance; instances that run side by side need different sizes.
        directives: Directives for the configuration, besides those that a pod's command adds.
    """
    address = ADDRESSES[size]
    text = valkey_config.valkey_conf()
    for ours, theirs in (
        (valkey_config.LIVE_DIRECTORY, str(directory)),
        (f"dir {valkey_config.DATA_DIRECTORY}", f"dir {directory}"),
        ("bind * -::*", f"bind {address}"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    (directory / "valkey.conf").write_text(text)
    # Valkey tells replicas apart by their address, as with pods.
    sized = (f"maxmemory {PRESETS[size].maxmemory_bytes}", f"bind-source-addr {address}")
    login = (f"primaryuser {REPLICATION.user}", f"primaryauth {PASSWORDS[REPLICATION.key]}")
    (directory / valkey_config.START_FILE).write_text("\n".join((*sized, *login, *directives)))
    admin = f"user {ADMIN.user} on >{ADMIN_PASSWORD} {ADMIN.rule}\n"
    acl = directory / names.KEY_USERS_ACL
    if not acl.exists():  # what the instance has saved since then stays, as in a pod
        acl.write_text(identities.users_acl(PASSWORDS) + admin)
    command = ["setpriv", "--pdeathsig", "KILL", "--", str(VALKEY_SERVER), str(directory / "valkey.conf")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            with connect(ADMIN, address) as client:
                eventually(lambda: _answers(client), what="Valkey answers")
            yield address
        finally:
            server.kill()


def servers() -> dict[str, int]:
    """Return the processes of the Valkey servers on this machine, by address."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command, _, rest = (process / "cmdline").read_text().rstrip("\0 ").partition(" ")
            if command.endswith("valkey-server"):
                found[rest.split(":")[0]] = int(process.name)
    return found


def _answers(client: valkey.Valkey) -> bool:
    try:
        return bool(client.ping())
    except exceptions.ConnectionError:
        return False
    except exceptions.ResponseError:  # a replica that is not in sync yet
        return True

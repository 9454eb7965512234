"""A real server, started as in a pod, that kubelet tells to stop: it goes on if the reconciler asks for that."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.credentials import identities
from reconciler.credentials.identities import OPERATOR, PROBE
from reconciler.credentials.login import Login
from reconciler.manifests import valkey_config
from reconciler.manifests.start_command import HOLD_LOOKS, STOP_SECONDS, start_command
from reconciler.valkey import users
from reconciler.valkey.replication import replication_session
from shared import names
from shared.session_storage.sizes import PRESETS, Size
from tests.integration.instances import ADDRESSES, NOBODY, PASSWORDS
from tests.integration.kubelet import VALKEY_SERVER
from tests.integration.processes import eventually

ADDRESS = ADDRESSES[Size.SMALL]
LOGIN = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])
ASKED = f'''#!{sys.executable}
"""Stands in for valkey-cli, which only asks for the role here."""
import os, sys, valkey
assert sys.argv[1:] == ["--user", "{PROBE.user}", "role"]
client = valkey.Valkey(host="{ADDRESS}", username="{PROBE.user}", password=os.environ["REDISCLI_AUTH"])
print(client.execute_command("ROLE")[0].decode())
'''


@pytest.fixture(name="shell")
def shell_fixture(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the start command of the only instance of a storage until it answers."""
    for name in ("config", "acl", "live", "data", "bin"):
        (tmp_path / name).mkdir()
    places = {
        valkey_config.CONFIG_DIRECTORY: f"{tmp_path}/config",
        valkey_config.LIVE_DIRECTORY: f"{tmp_path}/live",
        valkey_config.ACL_DIRECTORY: f"{tmp_path}/acl",
        f"{valkey_config.DATA_DIRECTORY}/": f"{tmp_path}/data/",
        f"dir {valkey_config.DATA_DIRECTORY}": f"dir {tmp_path}/data",
        "bind * -::*": f"bind {ADDRESS}",
    }

    def placed(text: str) -> str:
        for ours, theirs in places.items():
            text = text.replace(ours, theirs)
        return text

    (tmp_path / "config" / "valkey.conf").write_text(placed(valkey_config.valkey_conf()))
    for name, text in valkey_config.topology(0, (0,), NOBODY).items():
        (tmp_path / "config" / name).write_text(text)
    mounted = {names.KEY_USERS_ACL: identities.users_acl(PASSWORDS)}
    mounted |= {each.key: PASSWORDS[each.key] for each in identities.IDENTITIES}
    for name, text in mounted.items():
        (tmp_path / "acl" / name).write_text(text)
    client = tmp_path / "bin" / "valkey-cli"
    client.write_text(ASKED)
    client.chmod(0o755)
    command = ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", placed(start_command(0, "x", PRESETS[Size.SMALL]))]
    path = {"PATH": f"{client.parent}:{VALKEY_SERVER.parent}:/usr/bin:/bin"}
    with subprocess.Popen(command, env=path, stdout=subprocess.DEVNULL) as shell:
        eventually((tmp_path / "data" / "appendonlydir").exists, what="Valkey runs")
        yield shell
        shell.kill()


def ends_within(shell: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        return shell.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False


async def test_a_primary_that_is_asked_to_go_on_serves_until_it_is_a_replica(
    shell: subprocess.Popen[bytes],
) -> None:
    shell.terminate()
    began = time.monotonic()
    while time.monotonic() - began < STOP_SECONDS / 2:  # the reconciler asks again and again for a moment
        await users.save(ADDRESS, 6379, LOGIN)
    assert not ends_within(shell, STOP_SECONDS + 1)
    assert (await users.observe(ADDRESS, 6379, LOGIN)).role == "master"
    async with replication_session(ADDRESS, 6379, LOGIN) as session:
        await session.follow(NOBODY, Login("", ""))
    assert ends_within(shell, HOLD_LOOKS * 0.05)


async def test_a_primary_that_nobody_asks_stops_after_a_moment(shell: subprocess.Popen[bytes]) -> None:
    await users.save(ADDRESS, 6379, LOGIN)  # as in a rotation before
    shell.terminate()
    assert ends_within(shell, STOP_SECONDS + 1)

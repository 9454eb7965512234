"""The configuration of a node; that a real Valkey takes it is in tests/integration/test_acl.py."""

from __future__ import annotations

import pytest

from shared import credentials
from shared.credentials import Identity
from shared.sizes import PRESETS, Size
from shared.valkey_config import config_hash, valkey_conf

MIB = 1024 * 1024


def directives(size: Size) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in valkey_conf(PRESETS[size]).splitlines())


@pytest.mark.parametrize(
    ("size", "memory", "share"), [(Size.SMALL, 256, 0.60), (Size.MEDIUM, 512, 0.65), (Size.LARGE, 1024, 0.70)]
)
def test_maxmemory_is_the_sizes_share_of_its_memory(size: Size, memory: int, share: float) -> None:
    assert int(directives(size)["maxmemory"]) == int(memory * MIB * share)
    assert directives(size)["maxmemory-policy"] == "allkeys-lru"


@pytest.mark.parametrize("size", Size)
def test_what_the_design_promises_stands_there(size: Size) -> None:
    found = directives(size)
    assert (found["appendonly"], found["appendfsync"], found["save"]) == ("yes", "everysec", '""')
    assert (found["port"], found["dir"], found["aclfile"]) == ("6379", "/data", "/valkey/live-acl/users.acl")


@pytest.mark.parametrize("size", Size)
def test_no_directive_stands_twice_and_none_holds_a_secret(size: Size) -> None:
    text = valkey_conf(PRESETS[size])
    assert len(directives(size)) == len(text.splitlines())
    assert not {"requirepass", "masterauth", "primaryauth", "user"} & directives(size).keys()


def test_each_size_has_a_hash_of_its_own() -> None:
    assert len({config_hash(PRESETS[size]) for size in Size}) == 3


def test_other_rights_mean_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = config_hash(PRESETS[Size.SMALL])
    monkeypatch.setattr(credentials, "IDENTITIES", (Identity("default", "password", "+ping"),))
    assert config_hash(PRESETS[Size.SMALL]) != before

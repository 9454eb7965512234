import re
from pathlib import Path

import pytest

from deploy.local import binaries, toolchain


@pytest.mark.parametrize("answer", ["go1.26.4", "go1.26.8", "go1.27rc1", "go1.27.3", "go2.0"])
def test_a_new_enough_go_is_accepted(answer: str) -> None:
    assert toolchain.is_new_enough(answer)


@pytest.mark.parametrize(
    "answer", ["", "go1.26.3", "go1.26rc1", "go1.25.9", "go1.9", "devel +1234", "bash: go: not found"]
)
def test_an_older_or_unknown_go_is_refused(answer: str) -> None:
    assert not toolchain.is_new_enough(answer)


def test_the_minimum_is_what_the_modules_ask_for() -> None:
    asked = set()
    for program in binaries.PROGRAMS.values():
        (version,) = re.findall(r"^go (\S+)$", (binaries.MODULES / program.module / "go.mod").read_text(), re.MULTILINE)
        asked.add(tuple(map(int, version.split("."))))
    assert max(asked) == toolchain.MINIMUM


def test_builds_are_static_and_keep_their_caches_to_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_STORAGE_CACHE", str(tmp_path))
    environment = toolchain.environment()
    assert environment["CGO_ENABLED"] == "0"
    assert environment["GOCACHE"].startswith(f"{tmp_path}/")
    assert environment["GOMODCACHE"].startswith(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("write /cache/b001/_pkg_.a: no space left on device", "make room"),
        ("k8s.io/api/core/v1: compile: signal: killed", "memory"),
        ('Get "https://modules.example/x": dial tcp: lookup modules.example: no such host', "GOPROXY"),
        ("verifying module: checksum mismatch\nSECURITY ERROR", "GOPROXY"),
    ],
)
def test_a_failed_build_says_what_to_do_about_its_cause(output: str, answer: str) -> None:
    assert answer in toolchain.advice(output)


def test_a_failed_build_always_says_that_the_next_one_resumes_it() -> None:
    assert "start the same command again" in toolchain.advice("main.go:1:1: syntax error")

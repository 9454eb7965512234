import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local import paths


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SESSION_STORAGE_CACHE": "/own", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/u"}, "/own"),
        ({"XDG_CACHE_HOME": "/xdg", "HOME": "/home/u"}, "/xdg/toolhive-session-storage"),
        ({"HOME": "/home/u"}, "/home/u/.cache/toolhive-session-storage"),
        ({}, "/root/.cache/toolhive-session-storage"),
    ],
)
def test_the_most_specific_setting_decides_where_the_cache_is(environ: dict[str, str], expected: str) -> None:
    assert paths.cache_root(environ) == Path(expected)


def test_the_first_cluster_is_the_default_unless_the_environment_gives_another_number() -> None:
    assert paths.cluster_number({}) == paths.cluster_number({"SESSION_STORAGE_CLUSTER": ""}) == 0
    assert paths.cluster_number({"SESSION_STORAGE_CLUSTER": "3"}) == 3


@pytest.mark.parametrize("asked", ["8", "-1", "two", "01"])
def test_an_invalid_cluster_number_is_refused_with_the_valid_ones(asked: str) -> None:
    with pytest.raises(SystemExit, match="0 to 7"):
        paths.cluster_number({"SESSION_STORAGE_CLUSTER": asked})


def test_the_local_cluster_is_the_default_unless_another_one_is_named() -> None:
    assert paths.is_local({})
    assert paths.is_local({"KUBECONFIG": str(paths.kubeconfig())})
    assert not paths.is_local({"KUBECONFIG": "/home/u/.kube/config"})


def test_a_digest_follows_content_name_and_settings_but_not_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    digest = paths.digest([one, two], "a", "b")
    assert paths.digest([two, one], "b", "a") == digest
    assert paths.digest([tmp_path], "a", "b") == digest
    assert paths.digest([one, two], "a") != digest
    assert paths.digest([one], "a", "b") != digest
    two.write_text("changed")
    assert paths.digest([one, two], "a", "b") != digest
    two.rename(tmp_path / "renamed")
    assert paths.digest([one, tmp_path / "renamed"], "a", "b") != digest


def test_bytecode_does_not_change_a_digest(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1\n")
    digest = paths.digest([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").write_bytes(b"compiled")
    assert paths.digest([tmp_path]) == digest


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_settings_have_different_digests(some: list[str], others: list[str]) -> None:
    assert (paths.digest([], *some) == paths.digest([], *others)) == (sorted(some) == sorted(others))


def test_an_existing_artefact_is_not_built_again(tmp_path: Path) -> None:
    made: list[Path] = []

    def fill(work: Path) -> None:
        made.append(work)
        work.write_text("content")

    first = paths.once(tmp_path / "product", fill)
    second = paths.once(tmp_path / "product", fill)
    assert first == second == tmp_path / "product"
    assert first.read_text() == "content"
    assert len(made) == 1


def interrupted(work: Path) -> None:
    work.mkdir()
    (work / "half").write_text("")
    raise InterruptedError


def test_a_failure_leaves_nothing_that_a_later_run_would_trust(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        paths.once(tmp_path / "product", interrupted)
    assert [file for file in tmp_path.iterdir() if file.suffix != ".lock"] == []


def test_the_next_attempt_does_not_reuse_what_a_killed_process_left(tmp_path: Path) -> None:
    killed = """
import os, signal, sys
from pathlib import Path
from deploy.local import paths
def fill(work):
    work.mkdir()
    (work / "stale").write_text("")
    os.kill(os.getpid(), signal.SIGKILL)
paths.once(Path(sys.argv[1]), fill)
"""
    command = [sys.executable, "-c", killed, str(tmp_path / "product")]
    assert subprocess.run(command, cwd=paths.REPOSITORY, check=False).returncode < 0
    assert not (tmp_path / "product").exists()

    product = paths.once(tmp_path / "product", Path.mkdir)
    assert list(product.iterdir()) == []

"""A process that has a connection with each of thousands of instances may open so many."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from shared.process.open_files import allow_as_many_as_possible

SYSTEMD = 1024


@pytest.fixture(name="most")
def most_fixture() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SYSTEMD, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_may_open_as_many_files_as_its_container_may(most: int) -> None:
    allow_as_many_as_possible()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    assert most > SYSTEMD

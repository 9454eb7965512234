"""Quantities are read in the spellings that people write, and written in the one that the API server stores."""

from __future__ import annotations

import pytest

from shared.objects import quantities


@pytest.mark.parametrize(
    ("text", "mib"),
    [("512Mi", 512), ("1Gi", 1024), ("1536Mi", 1536), ("2Ti", 2 << 20), ("1G", None), ("", None), ("-1Mi", None)],
)
def test_memory_is_read_in_whole_units(text: str, mib: int | None) -> None:
    assert quantities.mebibytes(text) == mib


@pytest.mark.parametrize(("text", "gib"), [("5Gi", 5), ("1Ti", 1024), ("2048Mi", 2), ("512Mi", None), ("5G", None)])
def test_disks_are_read_in_whole_gibibytes(text: str, gib: int | None) -> None:
    assert quantities.gibibytes(text) == gib


@pytest.mark.parametrize(
    ("text", "millis"), [("250m", 250), ("1", 1000), ("0.5", 500), ("2.0", 2000), ("0.0001", None), ("fast", None)]
)
def test_cpu_is_read_in_cores_and_thousandths(text: str, millis: int | None) -> None:
    assert quantities.millicores(text) == millis


@pytest.mark.parametrize(("mib", "text"), [(512, "512Mi"), (1024, "1Gi"), (1536, "1536Mi"), (1 << 20, "1Ti")])
def test_memory_is_written_in_the_largest_whole_unit(mib: int, text: str) -> None:
    assert quantities.memory(mib) == text


def test_disks_and_cpu_are_written_as_the_api_server_stores_them() -> None:
    assert [quantities.disk(gib) for gib in (5, 1024, 1536)] == ["5Gi", "1Ti", "1536Gi"]
    assert [quantities.cpu(millis) for millis in (250, 1000, 1500)] == ["250m", "1", "1500m"]

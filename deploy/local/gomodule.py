"""Directories out of the source of Go modules, as Go's module proxy serves it."""

import json
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deploy.local import paths, toolchain
from deploy.local.errors import StepFailed


@dataclass(frozen=True)
class GoModule:
    """One version of a module.

    Attributes:
        path: Its module path, such as `github.com/stacklok/toolhive`.
        version: A released version, such as `v0.63.0`.
    """

    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.path}@{self.version}"

    def directory(self, inside: str, name: str) -> Path:
        """Return a directory of its source, fetching that first if needed.

        Args:
            inside: The directory's path in the module.
            name: What to call it in the cache.

        Raises:
            StepFailed: The source could not be fetched.
        """
        return paths.once(
            paths.builds() / f"{name}-{self.version}", lambda target: self._extract(PurePosixPath(inside), target)
        )

    def _extract(self, inside: PurePosixPath, target: Path) -> None:
        with zipfile.ZipFile(self._zip()) as source:
            for member in source.namelist():
                # Members are named module@version/path.
                file = PurePosixPath(member.removeprefix(f"{self}/"))
                if file.is_relative_to(inside):
                    copy = target / file.relative_to(inside)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(source.read(member))

    def _zip(self) -> Path:
        """Fetch the source as it was published; Go checks it against its checksum database.

        Go answers with an error, and yet has the file, when the module wants a newer Go to be built.
        """
        done = subprocess.run(
            [toolchain.go(), "mod", "download", "-json", str(self)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=toolchain.environment(),
            cwd=paths.builds(),
        )
        answer = json.loads(done.stdout or "{}")
        if "Zip" not in answer:
            raise StepFailed(f"fetching {self} failed: {answer.get('Error', done.stderr)}")
        return Path(answer["Zip"])

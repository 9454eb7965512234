"""Installs the Debian packages that the cluster needs, and starts none of their services."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from deploy.local import paths, progress
from deploy.local.errors import PrerequisiteMissing, StepFailed

# The Debian package of each program or file that only this package has. `find` looks for programs on PATH
# and in the directories of the superuser, which a sudo'ed shell may not have on its PATH.
PROGRAMS: Mapping[str, str] = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
    "setpriv": "util-linux",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
# Packages with a service that would start with the machine.
SERVICES = ("containerd", "docker-registry")
SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

# Debian's policy for maintainer scripts: exit status 101 forbids every start of a service.
# Source: Debian's invoke-rc.d interface, /usr/share/doc/init-system-helpers/README.policy-rc.d.gz
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Written by the local cluster of toolhive-session-storage.\nexit 101\n"
DPKG_LOCK_SECONDS = 300


def find(program: str) -> str | None:
    """Return where a program or file is, or None."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *SEARCH_PATH]))


def missing(programs: Mapping[str, str], where: Callable[[str], str | None]) -> list[str]:
    """Return the packages of all programs that `where` does not find, each once and in order."""
    return sorted({package for program, package in programs.items() if where(program) is None})


def install_missing(further: Mapping[str, str] = MappingProxyType({})) -> None:
    """Install the packages that are missing; if none is, do nothing, not even ask the network.

    Args:
        further: Programs that are needed besides `PROGRAMS`, and their packages.

    Raises:
        PrerequisiteMissing: This is no Debian, or not root; the message lists what to install.
        StepFailed: apt-get failed.
    """
    programs = {**PROGRAMS, **further}
    with paths.locked(paths.logs() / ".packages.lock"):
        _allow_services()
        if packages := missing(programs, find):
            _install_and_check(packages, programs)


def _install_and_check(packages: list[str], programs: Mapping[str, str]) -> None:
    if find("apt-get") is None or os.geteuid() != 0:
        raise PrerequisiteMissing(
            "The local cluster needs programs of these Debian packages: "
            f"{' '.join(packages)}. Install them (as root: apt-get install "
            f"--no-install-recommends {' '.join(packages)}; elsewhere by the system's own package "
            "manager) and start again."
        )
    progress.step(f"installing Debian packages: {' '.join(packages)}")
    _forbid_services()
    try:
        _install(packages)
        if Path("/run/systemd/system").exists():
            for name in set(packages).intersection(SERVICES):
                _apt(f"keeping the service of {name} off", ["systemctl", "disable", f"{name}.service"])
    finally:
        _allow_services()
    if still := missing(programs, find):
        raise StepFailed(f"apt-get installed {' '.join(packages)}, but {' '.join(still)} lacks a program")


def _install(packages: list[str]) -> None:
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    _apt("finishing an interrupted installation", ["dpkg", "--configure", "-a"])
    try:
        _apt("apt-get install", install)
    except StepFailed:
        # Most often the package lists are missing or past their date.
        _apt("apt-get update", ["apt-get", "update"])
        _apt("apt-get install", install)


def _apt(what: str, command: list[str]) -> None:
    """Run it without `progress.run`: a package manager must never be killed half-way."""
    log = paths.logs() / "packages.log"
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(SEARCH_PATH),
        "DEBIAN_FRONTEND": "noninteractive",
        "APT_LISTCHANGES_FRONTEND": "none",
    }
    if command[0] == "apt-get":
        command = [*command[:1], "-o", f"DPkg::Lock::Timeout={DPKG_LOCK_SECONDS}", *command[1:]]
    with progress.heartbeat(what), log.open("ab") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, check=False
        )
    if done.returncode != 0:
        raise progress.failure(what, f"exit status {done.returncode}", log)


def _forbid_services() -> None:
    """Forbid the start of services; a policy that the host already has stays as it is."""
    if not POLICY.exists():
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)


def _allow_services() -> None:
    """Remove our policy, even one that a killed process left."""
    if POLICY.exists() and POLICY.read_text(errors="replace") == POLICY_TEXT:
        POLICY.unlink()

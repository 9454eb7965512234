"""What the server of an instance itself gives as the reason why it does not serve, and what to do about it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.failover.decision import SCRIPT_RUNS

if TYPE_CHECKING:
    from reconciler.state.instance import Instance

DISK_FULL: Final = "DiskFull"
WRITES_FAIL: Final = "WritesFail"
OUT_OF_MEMORY: Final = "OutOfMemory"
LOADING: Final = "LoadingData"
COMMANDS_FAIL: Final = "CommandsFail"
_MOVES: Final = "; another instance takes over as soon as one is in sync"
_NO_SPACE: Final = "No space left on device"


def server_problem(name: str, instance: Instance) -> tuple[str, str] | None:
    """Say it as one CamelCase word and as a sentence; None if the server gives no reason.

    Args:
        name: What the message calls the instance.
        instance: The instance as the observer saw it.
    """
    if instance.problem == "refused":
        return "CredentialRefused", f"{name} does not accept the passwords of the auth Secret ({instance.detail})"
    if instance.problem == "busy":
        return SCRIPT_RUNS, _script(name, instance)
    if instance.problem == "failing":
        return _failure(name, instance.detail)
    if instance.responds and not instance.is_loaded:
        message = f"{name} is reading its data from disk; if that does not end, see its log: kubectl logs {name}-0"
        return LOADING, message
    return None


def disk_problem(name: str) -> tuple[str, str]:
    """Say that a replica cannot write to its disk; the server does not say why."""
    return WRITES_FAIL, f"{name} cannot write to its disk, see its log: free space there, or replace the volume"


def _script(name: str, instance: Instance) -> str:
    if not instance.has_endless_script:
        return f"a script of a consumer keeps {name} from serving anybody else; the reconciler ends it"
    return (
        f"a script of a consumer keeps {name} from serving anybody else; it has written already, so Valkey cannot end"
        f" it. Another instance takes over if all replicas are in sync; else {name} starts again, with all data but"
        " what that script wrote"
    )


def _failure(name: str, answer: str) -> tuple[str, str]:
    kind = answer.partition(" ")[0]
    if kind == "MISCONF" and _NO_SPACE in answer:
        message = (
            f"the disk of {name} is full, so it takes no writes: free space there, or choose a larger size{_MOVES}"
        )
        return DISK_FULL, message
    if kind == "MISCONF":
        return (
            WRITES_FAIL,
            f"{name} cannot write to its disk, so it takes no writes ({answer}): check the volume{_MOVES}",
        )
    if kind == "OOM":
        message = f"{name} uses all its memory, and removing keys does not help: choose a larger size"
        return OUT_OF_MEMORY, message
    if kind == "LOADING":
        return LOADING, f"{name} is reading its data from disk"
    return COMMANDS_FAIL, f"{name} answers consumers with an error: {answer}"

"""What the API server notes down: every write of a service account, so that tests can count whose writes there are.

Pure but for `install`. The API server's metrics count writes too, but do not say whose they are.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # Heartbeats, and questions that change nothing.
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "None", "resources": [{"group": "authentication.k8s.io"}, {"group": "authorization.k8s.io"}]},
        {
            "level": "Metadata",
            "userGroups": ["system:serviceaccounts"],
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        },
    ],
}
"""Who wrote which object, and nothing of its content. What no rule matches is not noted down:
https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-policy."""

_TEXT: Final = json.dumps(POLICY, indent=2)
# Named after its content: the API server starts again when its command line changes, and reads a policy only then.
_POLICY_FILE: Final = f"audit-policy-{hashlib.sha256(_TEXT.encode()).hexdigest()[:12]}.json"


def log(directory: Path) -> Path:
    """Say where the log is, which has one event in JSON on each line.

    Args:
        directory: The control plane's.
    """
    return directory / "audit.log"


def flags(directory: Path) -> Iterator[str]:
    """Yield flags for the API server, which by default answers a request once it has noted it down."""
    yield f"--audit-policy-file={directory / _POLICY_FILE}"
    yield f"--audit-log-path={log(directory)}"


def install(directory: Path) -> None:
    """Write what `flags` names into the directory of a control plane; a log that is there stays."""
    (directory / _POLICY_FILE).write_text(_TEXT)
    log(directory).touch(mode=0o600)

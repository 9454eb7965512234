"""These tests are about the local cluster itself, and never use another one that KUBECONFIG names."""

import os

from deploy.local import paths

collect_ignore = (
    [
        *("test_api_away.py", "test_certificates.py", "test_cluster.py", "test_former_release.py"),
        *("test_house_rules.py", "test_recovery.py"),
    ]
    if os.environ.get("KUBECONFIG", str(paths.kubeconfig())) != str(paths.kubeconfig())
    else []
)

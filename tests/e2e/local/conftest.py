"""What is tested here is the local cluster itself, and not another that KUBECONFIG may name."""

import os

from deploy.local import paths

collect_ignore = (
    ["test_api_away.py", "test_cluster.py", "test_recovery.py"]
    if os.environ.get("KUBECONFIG", str(paths.kubeconfig())) != str(paths.kubeconfig())
    else []
)

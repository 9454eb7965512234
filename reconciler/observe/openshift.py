"""Finds out whether a cluster gives pods their user ids, as OpenShift does."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shared import errors
from shared.objects.resources import CRDS

if TYPE_CHECKING:
    from shared.kubernetes.client import Cluster

CONSTRAINTS: Final = "securitycontextconstraints.security.openshift.io"
"""CRD of the rules by which OpenShift's admission chooses the ids of each pod (OpenShift, "Managing security context
constraints"). It refuses a pod that names ids out of the range of its namespace."""
PAUSE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


async def assigns_ids(cluster: Cluster) -> bool:
    """Tell whether the cluster has OpenShift's SecurityContextConstraints; ask until the API server answers."""
    while True:
        try:
            await cluster.get(CRDS, "", CONSTRAINTS)
        except errors.NotFound:
            return False
        except errors.Forbidden as error:
            _log.warning("assuming that this cluster is not OpenShift", extra={"error": str(error)})
            return False
        except errors.ClusterError as error:
            _log.warning("could not ask whether this cluster is OpenShift", extra={"error": str(error)})
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return True

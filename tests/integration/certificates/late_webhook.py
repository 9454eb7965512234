"""The webhook beside an API server whose clock is late: python -m tests.integration.certificates.late_webhook."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from unittest.mock import patch

import webhook.__main__ as process
from shared.kubernetes.server_clock import ServerClock

LATE = timedelta(minutes=59, seconds=50)


class LateClock(ServerClock):
    """The clock of an API server that is late."""

    def now(self) -> datetime:
        """Tell the time there."""
        return super().now() - LATE


if __name__ == "__main__":
    with patch("shared.kubernetes.transport.ServerClock", LateClock):
        sys.exit(process.main())

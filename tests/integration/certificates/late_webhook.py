"""The webhook on a host whose clock is an hour late: python -m tests.integration.certificates.late_webhook."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import webhook.__main__ as process

LATE = timedelta(minutes=59, seconds=50)


def clock() -> datetime:
    return datetime.now(UTC) - LATE


if __name__ == "__main__":
    with patch.object(process, "_clock", clock):
        sys.exit(process.main())

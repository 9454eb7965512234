"""Nothing is decided by the clock of the machine: it may be wrong, and somebody may set it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ALLOWED = {
    "shared/kubernetes/server_clock.py",  # before the API server's first answer
    "webhook/http/connection.py",  # the header `Date`
}


def test_the_wall_clock_is_read_where_nothing_is_decided() -> None:
    sources = [path for part in ("webhook", "reconciler", "certs", "shared") for path in (ROOT / part).rglob("*.py")]
    reading = re.compile(r"datetime\.(now|utcnow|today)\(|\btime\.time\(|date\.today\(")
    found = {str(path.relative_to(ROOT)) for path in sources if reading.search(path.read_text())}
    assert len(sources) > 100
    assert found == ALLOWED

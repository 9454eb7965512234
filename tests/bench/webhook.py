"""Runs our webhook for the benchmark: the whole process of `webhook.__main__`, with an API server in memory.

Only the API server is a fake. The caches list and watch it, the process reads its certificate from the Secret, and
everything that serves reviews is the code that a pod runs.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from pathlib import Path

import uvloop

from shared.objects.resources import SECRETS, SESSION_STORAGES
from shared.process import json_log
from tests.bench.cases import STORAGE
from tests.support.fakes import FakeApi
from webhook.__main__ import _Process
from webhook.settings import Settings


async def _run(settings: Settings, certificates: Path) -> None:
    api = FakeApi()
    files = {"tls.crt": "certificate.pem", "tls.key": "key.pem", "ca.crt": "authority.pem"}
    data = {key: base64.b64encode((certificates / name).read_bytes()).decode() for key, name in files.items()}
    await api.create(
        SECRETS, {"metadata": {"namespace": settings.namespace, "name": settings.tls_secret}, "data": data}
    )
    await api.create(SESSION_STORAGES, STORAGE)
    await _Process(api, settings).run(asyncio.Event())


if __name__ == "__main__":
    _settings = Settings.from_environ(os.environ)
    json_log.configure("webhook", _settings.log_level)
    uvloop.run(_run(_settings, Path(sys.argv[1])))

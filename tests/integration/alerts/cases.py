"""For each alert, series that just fire it and series that just do not."""

from __future__ import annotations

from typing import Final

from tests.integration.alerts import of_certificates, of_clients, of_objectives, of_processes, of_storages

GROUPS: Final = (of_objectives, of_storages, of_clients, of_processes, of_certificates)
CASES: Final = tuple(case for group in GROUPS for case in group.cases())

"""Describes the machine on which a figure was measured."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def facts() -> dict[str, str]:
    """Describe the machine's processors, memory and system."""
    return {
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"Linux {platform.release()}, {platform.machine()}",
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.processor() or "unknown"

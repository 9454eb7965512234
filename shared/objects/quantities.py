"""Kubernetes' quantities of memory, disk and CPU, in whole numbers. Pure.

The API server stores a quantity in one spelling only: whoever writes another one finds a difference in each comparison.
Source: Kubernetes, `apimachinery/pkg/api/resource`, "CanonicalizeBytes".
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_WHOLE: Final = re.compile(r"([0-9]{1,7})(Mi|Gi|Ti)", re.ASCII)
_CPU: Final = re.compile(r"([0-9]{1,7})m|([0-9]{1,4}(?:\.[0-9]{1,3})?)", re.ASCII)
_MEBIBYTES: Final = {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}


def mebibytes(text: str) -> int | None:
    """Read an amount in whole Mi, Gi or Ti as MiB; None if it is written otherwise."""
    found = _WHOLE.fullmatch(text)
    return int(found[1]) * _MEBIBYTES[found[2]] if found else None


def gibibytes(text: str) -> int | None:
    """Read an amount in whole Gi or Ti as GiB; None if it is written otherwise."""
    amount = mebibytes(text)
    return amount // 1024 if amount is not None and amount % 1024 == 0 else None


def millicores(text: str) -> int | None:
    """Read an amount of CPU, such as 250m, 1 or 0.5, as thousandths of a core; None if it is written otherwise."""
    found = _CPU.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) if found[1] else int(Decimal(found[2]) * 1000)


def memory(mib: int) -> str:
    """Write an amount of memory or disk as the API server stores it."""
    for unit in ("Ti", "Gi"):
        if mib % _MEBIBYTES[unit] == 0:
            return f"{mib // _MEBIBYTES[unit]}{unit}"
    return f"{mib}Mi"


def disk(gib: int) -> str:
    """Write the size of a volume as the API server stores it."""
    return memory(gib * 1024)


def cpu(millis: int) -> str:
    """Write an amount of CPU as the API server stores it."""
    return str(millis // 1000) if millis % 1000 == 0 else f"{millis}m"

"""Writes values as Grafana does, by the unit of their panel. Only the units that our dashboards use."""

from __future__ import annotations

import math
from typing import Final

_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_DECIMAL: Final = ("", " K", " Mil", " Bil")
_TIMES: Final = ((86_400, "days"), (3600, "hours"), (60, "mins"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_A_SECOND: Final = {"cps": " c/s", "ops": " ops/s", "reqps": " req/s"}


def shown(value: float, unit: str) -> str:
    """Write a value with its unit."""
    if math.isnan(value):
        return "NaN"
    if unit == "percentunit":
        return f"{_short(100 * value)} %"
    if unit == "s":
        size, name = next((each for each in _TIMES if abs(value) >= each[0]), _TIMES[-1] if value else (1, "s"))
        return f"{_short(value / size)} {name}"
    if unit in {"bytes", "Bps"}:
        return _scaled(value, 1024, _BINARY, " ") + ("/s" if unit == "Bps" else "")
    return _scaled(value, 1000, _DECIMAL, "") + _A_SECOND.get(unit, "")


def _scaled(value: float, base: int, names: tuple[str, ...], between: str) -> str:
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value, power = value / base, power + 1
    return f"{_short(value)}{between}{names[power]}"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"

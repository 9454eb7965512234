"""Keeps runs as JSON beside the document, so that a new try of one fault replaces only its own rows. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, Final

from shared.session_storage.sizes import Size
from tests.chaos.catalogue import BY_NAME
from tests.chaos.figures import SessionUse, Trial
from tests.chaos.floor import Floor
from tests.chaos.report import Measured
from tests.chaos.verdicts import Gap, Verdict

FORMAT: Final = 2
"""Number of the format; it grows whenever figures come to mean something else, such as those of another client."""


class OtherFormat(Exception):
    """The figures of an archive are not comparable with those of today."""


def dump(measured: Measured) -> str:
    """Write what the document needs; of each run's gaps it needs only the one that counts."""
    content = {
        "format": FORMAT,
        "valkey": measured.valkey,
        "floor": asdict(measured.floor),
        "made": measured.made,
        "trials": [asdict(_brief(trial)) for trial in measured.trials],
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def load(text: str) -> Measured:
    """Read what `dump` wrote.

    Raises:
        OtherFormat: Another version of `dump` wrote it.
    """
    content = json.loads(text)
    if content.get("format") != FORMAT:
        raise OtherFormat
    made = {size: content["made"][size] for size in Size if size in content["made"]}
    trials = [_trial(**trial) for trial in content["trials"]]
    return Measured(
        trials, made, Floor(**{way: tuple(took) for way, took in content["floor"].items()}), content["valkey"]
    )


def merged(before: Measured, anew: Measured) -> Measured:
    """Merge runs of two times: a fault that was tried again on a size has its new runs alone.

    Of the times until new storages were ready, each size keeps the longer list.
    """
    tried = {(trial.fault, trial.size) for trial in anew.trials}
    kept = [trial for trial in before.trials if (trial.fault, trial.size) not in tried]
    made = {size: max(before.made.get(size, ()), anew.made.get(size, ()), key=len) for size in Size}
    return replace(
        anew,
        trials=sorted([*kept, *anew.trials], key=_place),
        made={size: seconds for size, seconds in made.items() if seconds},
    )


def _place(trial: Trial) -> tuple[int, int]:
    return list(Size).index(Size(trial.size)), list(BY_NAME).index(trial.fault)


def _brief(trial: Trial) -> Trial:
    return replace(trial, verdict=_briefly(trial.verdict), impatient=_briefly(trial.impatient))


def _briefly(verdict: Verdict | None) -> Verdict | None:
    return verdict and replace(verdict, gaps=(verdict.gap,))


def _trial(
    *, verdict: dict[str, Any] | None, impatient: dict[str, Any] | None, use: dict[str, Any], **rest: Any
) -> Trial:
    ours, other = (None if said is None else _verdict(**said) for said in (verdict, impatient))
    return Trial(verdict=ours, impatient=other, use=SessionUse(**use), **rest)


def _verdict(*, lost: list[float], gaps: list[dict[str, Any]], **rest: Any) -> Verdict:
    return Verdict(lost=tuple(lost), gaps=tuple(Gap(**gap) for gap in gaps), **rest)

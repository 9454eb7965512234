"""Workers that get keys from a queue and reconcile them; a key may stand for an object of any kind."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from reconciler.runtime import metrics
from reconciler.runtime.metrics import PassOutcome
from shared import errors
from shared.process.log_scope import RECONCILE_ID, logged_with, reconcile_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.runtime.workqueue import WorkQueue

Name: TypeAlias = tuple[str, ...]
Reconcile: TypeAlias = "Callable[[Any], Awaitable[float | None]]"

WORKERS: Final = 64
"""Each mostly waits for the API or for Valkey. So many instances may be silent at once, as when nodes fail, before they
hold up the other storages. As many more take only keys that are hastened."""
CALM_SECONDS: Final = 5.0
"""A pass that wants the next one so late has found nothing urgent."""

_log = logging.getLogger(__name__)


async def run(queue: WorkQueue, reconcile: Reconcile, subject: str, count: int | None = None) -> None:
    """Process keys until cancelled; that also cancels the passes under way, whose steps may all be repeated.

    Args:
        queue: The keys.
        reconcile: Makes one pass over the object of a key.
        subject: What a key names. It is the field of log lines that holds the key.
        count: How many keys workers process at a time, besides as many that are hastened; by default `WORKERS`.
    """
    async with asyncio.TaskGroup() as group:
        for take in (queue.get, queue.get_hastened):
            for _ in range(WORKERS if count is None else count):
                group.create_task(_work(queue, take, reconcile, subject))


async def _work(queue: WorkQueue, take: Callable[[], Awaitable[Name]], reconcile: Reconcile, subject: str) -> None:
    while True:
        key = await take()
        try:
            with logged_with({RECONCILE_ID: reconcile_id(), subject: "/".join(key)}):
                await _pass(queue, reconcile, key)
        finally:
            queue.done(key)


async def _pass(queue: WorkQueue, reconcile: Reconcile, key: Name) -> None:
    started = time.monotonic()
    outcome = PassOutcome.ERROR
    try:
        requeue_after = await reconcile(key)
        outcome = PassOutcome.OK
    except errors.SessionStorageError as error:
        retry = queue.add_rate_limited(key, at_least=_asked_seconds(error))
        extra = {"reason": type(error).__name__, "error": str(error), **_seconds(started, retry)}
        _log.warning("reconcile failed; trying again", extra=extra)
    except Exception:  # noqa: BLE001 - a bug with one storage must not stop the others
        outcome = PassOutcome.BUG
        retry = queue.add_rate_limited(key)
        _log.exception("a bug stopped the reconcile; trying again", extra=_seconds(started, retry))
    else:
        queue.forget(key)
        if requeue_after is None or requeue_after >= CALM_SECONDS:
            queue.calm(key)
        if requeue_after is not None:
            queue.add_after(key, requeue_after)
    finally:
        metrics.RECONCILES.labels(outcome).inc()
        metrics.RECONCILE_SECONDS.observe(time.monotonic() - started)


def _seconds(started: float, retry: float) -> dict[str, float]:
    """Tell how long a pass took, and when the next one comes."""
    return {"seconds": round(time.monotonic() - started, 3), "retry_seconds": round(retry, 2)}


def _asked_seconds(error: errors.SessionStorageError) -> float:
    """Tell for how long the API server asks to be left alone."""
    return (error.retry_after_seconds or 0.0) if isinstance(error, errors.Unavailable) else 0.0

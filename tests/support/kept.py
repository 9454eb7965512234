"""Compares what a user wrote with what became of it."""

from __future__ import annotations

from typing import Any


def is_kept(written: Any, patched: Any) -> bool:
    """Tell whether all that a user wrote is still there: each field, each item of a list at its place."""
    if isinstance(written, dict):
        return isinstance(patched, dict) and all(
            key in patched and is_kept(written[key], patched[key]) for key in written
        )
    if isinstance(written, list):
        return isinstance(patched, list) and len(patched) >= len(written) and all(map(is_kept, written, patched))
    # A null says the same as a field that is not there, and the webhook may give the field a value.
    return written is None or bool(written == patched and type(written) is type(patched))

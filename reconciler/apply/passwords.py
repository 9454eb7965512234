"""Makes up passwords. It reads the system's randomness, so no decision may call it."""

from __future__ import annotations

import secrets

from reconciler.credentials.identities import PASSWORD_ALPHABET, PASSWORD_LENGTH


def generate() -> str:
    """Make up a password from the system's randomness."""
    return "".join(secrets.choice(PASSWORD_ALPHABET) for _ in range(PASSWORD_LENGTH))

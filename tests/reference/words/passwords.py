"""Rotations."""

from __future__ import annotations

from typing import Final

from tests.reference.words.word import NOTHING, Table, Word

ROTATION: Final = Table(
    (
        Word(
            ("Pending",),
            "the auth Secret has the next password; not every instance accepts it yet",
            "if it stays, the instance in the message",
        ),
        Word(
            ("Added",),
            "every instance accepts the next password",
            NOTHING,
        ),
        Word(
            ("Published",),
            "the reconciler writes the next password into the connection Secret and its copies",
            "if it stays, `ConsumersAdmitted` and `CredentialCopied`",
        ),
        Word(
            ("AwaitConsumers",),
            "consumers restart in waves; instances accept both passwords",
            NOTHING,
        ),
        Word(
            ("ConsumersWait",),
            "some consumers have not restarted in time",
            "correct what the message names, or end the rotation without them",
        ),
        Word(
            ("Discarding",),
            "the reconciler takes the former password out of every instance",
            "if it stays, the instance in the message",
        ),
        Word(
            ("Discarded",),
            "the rotation is over",
            NOTHING,
        ),
    ),
    conditions=("CredentialRotated",),
)
OVERDUE: Final = Table(
    (
        Word(
            ("OthersRotateFirst",),
            "rotations of other storages go first",
            "wait; chart value `rotation.scheduledAtOnce`",
        ),
        Word(
            ("RotationUnfinished",),
            "the rotation that replaces the password has not ended",
            "`CredentialRotated`",
        ),
        Word(
            ("RotationCannotBegin",),
            "something keeps the reconciler from this storage's objects",
            "`Ready`",
        ),
        Word(
            ("Rotated",),
            "no password is too old any more",
            NOTHING,
        ),
    ),
    conditions=("PasswordOverdue",),
    head=("reason of `PasswordOverdue`", "it means", "next step"),
)

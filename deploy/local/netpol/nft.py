"""Loads a ruleset into the network namespace of one node."""

import asyncio
from pathlib import Path

from deploy.local.errors import StepFailed


async def load(namespace: Path, ruleset: str) -> None:
    """Replace what nftables enforces in a network namespace; all of it at once, or nothing.

    Args:
        namespace: The namespace's file, as in `/run/netns`.
        ruleset: Text for `nft -f`.

    Raises:
        StepFailed: There is no such namespace, or nft refused the text.
    """
    process = await asyncio.create_subprocess_exec(
        "nsenter",
        f"--net={namespace}",
        *("nft", "-f", "-"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate(ruleset.encode())
    if process.returncode:
        raise StepFailed(f"nft in {namespace}: {complaint.decode(errors='replace').strip()}")

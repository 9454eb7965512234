"""Counts the sessions in a Valkey instance by the prefixes of their keys. No key leaves the server.

A script counts a slice of the keys, and returns only numbers: whoever holds the key of a session can take it over, so
no key may get into the reconciler's memory, a log or a metric. The reconciler logs in as consumers do. The user
`exporter` may not count: its password is meant for software of others, and a user that may `SCAN` can list all keys.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from reconciler.valkey.session import connected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.credentials.login import Login

SLICE_KEYS: Final = 500
"""About how many keys one call looks at. Other clients wait meanwhile: some 0.6 ms (a slice of 1,000 takes 1.25)."""
SWEEP_SECONDS: Final = 30.0
"""A server that needs longer for all slices is busy with other things; its sessions are counted another time."""
SCRIPT: Final = """
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local last, made, chosen, lengths, counts = 3 + tonumber(ARGV[3]), {}, {}, {}, {}
for i = 4, last do made[ARGV[i]] = i - 3 end
for i = last + 1, #ARGV do
  chosen[ARGV[i]] = i - 3
  if #ARGV[i] ~= lengths[#lengths] then lengths[#lengths + 1] = #ARGV[i] end
end
for _, key in ipairs(page[2]) do
  local place = made[string.match(key, '^thv:%l+:session:{[^{}]*}:') or '']
  for _, length in ipairs(lengths) do
    if place then break end
    place = chosen[string.sub(key, 1, length)]
  end
  if not place and string.find(key, '^thv:%l+:session:') then place = 0 end
  if place then counts[place] = (counts[place] or 0) + 1 end
end
local reply = {page[1]}
for place, count in pairs(counts) do
  reply[#reply + 1] = place
  reply[#reply + 1] = count
end
return reply
"""
"""Takes the cursor, how many keys to look at, how many of the prefixes the webhook made, and all prefixes, these first.
Of those that users chose, the longest come first. Returns the next cursor, and pairs of a prefix's place and the number
of keys that begin with it; place 0 stands for sessions that begin with none of them. The pattern is that of
`shared.names.key_prefix`. A key is looked up in tables, once for each length that a chosen prefix has: to try 1,000 of
them one after the other holds other clients up for 40 ms."""


async def count_sessions(host: str, port: int, login: Login, own: int, prefixes: Sequence[str]) -> Mapping[int, int]:
    """Count the keys of sessions.

    Valkey guarantees that it counts each key that exists all the time; one that comes or goes meanwhile may count or
    not, and one may count twice while the table of keys grows (Valkey, `SCAN`).

    Args:
        host: Where the instance is.
        port: Its port.
        login: A user that may scan and run scripts.
        own: How many of the prefixes the webhook made; they come first.
        prefixes: Prefixes of keys, none of them empty; of those that users chose, the longest first.

    Returns:
        By the place of the prefix, from 1 on; 0 stands for sessions whose keys begin with none of them.

    Raises:
        SessionStoreError: The instance did not count.
        TimeoutError: It takes longer than `SWEEP_SECONDS`.
    """
    counts, cursor, clock = Counter[int](), "0", asyncio.get_running_loop().time
    async with asyncio.timeout(SWEEP_SECONDS), connected(host, port, login) as execute:
        while True:
            began = clock()
            cursor, *pairs = await execute("EVAL_RO", SCRIPT, "0", cursor, str(SLICE_KEYS), str(own), *prefixes)
            for place, count in zip(pairs[::2], pairs[1::2], strict=True):
                counts[place] += count
            if cursor == "0":
                return counts
            # A server that has much to do is asked less often; it never spends more than half of its time on this.
            await asyncio.sleep(clock() - began)

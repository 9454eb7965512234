"""HTTP by aiohttp, with bounds on what a client may send, hold and wait for (docs/adr/0022)."""

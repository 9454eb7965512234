"""The demonstration: `python -m deploy.demo` installs the product on a cluster and shows what it does.

Its edges (`kube`, `mcp_session`, `proxies`) serve the end-to-end tests as well.
"""

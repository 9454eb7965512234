"""Enforces NetworkPolicies in the local cluster: one nftables table in each node's network namespace."""

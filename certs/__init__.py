"""The webhook's own TLS: the reconciler issues, checks and renews the certificates without anybody's help."""

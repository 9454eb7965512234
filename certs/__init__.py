"""The webhook's own TLS: issued, checked and renewed without anybody's help."""

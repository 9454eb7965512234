"""What Prometheus learns of storages on `/metrics/storages`: series, their lines, how they are joined. Pure."""

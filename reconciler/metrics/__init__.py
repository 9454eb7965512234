"""What Prometheus is told of storages on `/metrics/storages`: the series, their lines, and how they are joined. Pure."""

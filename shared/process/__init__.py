"""Environment, log and probes, which every process of ours has."""

"""Environment, log and probes, which both processes have."""

"""What any process of ours needs: environment, log, probes."""

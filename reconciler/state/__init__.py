"""What was observed, as types. Pure."""

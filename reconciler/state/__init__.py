"""What the observer saw, as types. Pure."""

"""A review in, a decision out. Pure."""

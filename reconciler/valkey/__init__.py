"""The wire: the only package that talks to Valkey."""

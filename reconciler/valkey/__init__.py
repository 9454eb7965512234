"""Talks to Valkey servers, as no other package does."""

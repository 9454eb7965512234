"""The rule that webhook and reconciler share: how a ToolHive object that uses a storage looks. Pure."""

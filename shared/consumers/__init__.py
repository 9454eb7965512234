"""What an object of ToolHive's looks like when it uses a storage: the one rule of both processes. Pure."""

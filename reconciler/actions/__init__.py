"""What a plan is made of: writes to Kubernetes objects, commands to Valkey instances. Pure data."""

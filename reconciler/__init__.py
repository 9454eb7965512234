"""The reconciler: turns a SessionStorage into a running, secured Valkey and keeps it so."""

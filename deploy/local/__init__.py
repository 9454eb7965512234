"""A three-node Kubernetes cluster on one Linux machine, without Docker, VMs or a registry."""

"""A Kubernetes of one's own on this machine: so far its control plane, which judges every object."""

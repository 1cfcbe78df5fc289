"""Who reaches whom in a cluster, from its objects alone: what the network policies say together."""

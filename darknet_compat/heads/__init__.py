"""What a network's raw outputs mean, written once for torch tensors, numpy arrays and the nodes of a graph."""

"""A network as a torch module: one module a layer, the heads that give outputs their meaning, weights in and out."""

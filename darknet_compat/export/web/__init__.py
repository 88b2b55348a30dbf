"""The page to try a model at: one for `serve`, which asks a server, and for a folder that runs the model itself."""

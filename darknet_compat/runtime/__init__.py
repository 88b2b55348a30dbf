"""What runs a network or an artefact: arrays in, arrays out, one protocol whatever the framework."""

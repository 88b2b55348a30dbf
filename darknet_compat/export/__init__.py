"""A network becomes an artefact: one file that knows how to be used."""

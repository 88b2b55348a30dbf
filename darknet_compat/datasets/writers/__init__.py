"""Labelled pictures written in other programs' layouts."""

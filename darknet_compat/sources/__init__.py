"""Frames, wherever they come from: pictures, folders, lists, video files, cameras, streams, and Python's iterators."""

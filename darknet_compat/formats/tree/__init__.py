"""WordTrees beyond the file itself: names, WordNet, building one, mapping labels onto it, a page to look at it."""

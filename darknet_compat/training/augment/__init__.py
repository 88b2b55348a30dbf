"""Training pictures made of labelled ones: the original's random crops, placements and colours."""

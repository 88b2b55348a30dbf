"""From labelled pictures to weights, by the original's rules."""

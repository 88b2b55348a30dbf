"""Files from the internet: addresses tried in turn, resumed, checked, placed whole. Needs only the standard library."""

"""Pictures to several processes or machines, by Ray: what is scheduled, moved, spilled and tried again, is by it."""

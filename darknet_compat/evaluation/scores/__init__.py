"""The scores: AP, recall, accuracy, and how sure they are."""

"""Model names → their files, addresses and checksums, and how they are fetched."""

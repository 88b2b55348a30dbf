"""Files ⇄ values: `.cfg`, `.weights`, `.tree`, `.data`, `.names`, maps. Needs numpy only."""

"""One file a verb: it reads arguments, calls a job, and shows what came of it."""

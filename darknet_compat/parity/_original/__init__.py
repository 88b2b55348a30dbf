"""The inside of `parity.reference`: find the original's library, compile a binding, run it in a process of its own."""

"""The command line: one short module a command, which parses arguments, calls one function and prints."""

"""The tidy table of runs: its schema, how it is read and checked, and the measurements taken from it."""

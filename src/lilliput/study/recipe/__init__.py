"""The recipe of a study: its schema, the grammar of its grid, and the runs that they expand to."""

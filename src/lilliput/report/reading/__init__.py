"""Everything that a report reads: the folder of a study, or a table of runs."""

"""The folder of a study: where things lie, the index of runs and questions to it, tables, failures, pruning."""

"""The ground everything stands on: errors, settings, files, artefacts, seeds, progress, executors, intervals.

Nothing here knows what a language model is. The other rooms import from its modules by name; it
imports none of them.
"""

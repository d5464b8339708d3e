"""The stages of a study, a module each: from the artefacts of the stage before to its own.

Each is safe to repeat: what is done is recognised by its id and left alone.
"""

"""Name the small numbers by which the rules speak to the compiled scanner."""

from __future__ import annotations

# Classes of characters; a character is of exactly one.
OTHER, LETTER, DIGIT, APOSTROPHE, SPACE = range(5)

# What a word turned out to be; the first three are also the values of the switch NUMERALS.
LOOKED_UP, NUMBER, PASSES, BEFORE_LINK = range(4)

# Positions of the switches that come with a word profile and a vocabulary.
NUMERALS, REPLACES_LINKS, LEAST, SINGLE_SPACE, NUMBER_KNOWN, LINK_KNOWN, BEYOND = range(7)
SWITCHES = 7

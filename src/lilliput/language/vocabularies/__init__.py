"""Vocabularies made from texts: words are counted, in transcripts with the child's age, and the most frequent are kept."""

"""What a word is: versioned profiles, the plain splitter, and vocabularies."""

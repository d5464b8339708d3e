"""Words: versioned profiles that say what a word is, the plain splitter, and vocabularies."""

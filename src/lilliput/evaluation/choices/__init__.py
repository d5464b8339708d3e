"""Multiple choice: which of several continuations does a model find likeliest, with or without examples before it."""

"""Find spans of documents that a vocabulary admits: the rule, its plain form, the fast scanner."""

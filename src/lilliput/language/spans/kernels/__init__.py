"""The compiled scanner: a document's bytes become bitmaps, and bitmaps become spans and word counts."""

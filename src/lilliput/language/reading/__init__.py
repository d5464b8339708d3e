"""Read documents from files of many formats, streamed in batches and cut into shards."""

"""Building a corpus: filter shard by shard, take out duplicates, write with statistics and a card."""

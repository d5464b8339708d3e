"""Tasks as data: what a task reads and predicts, and how its tables become examples."""

"""What the runs and scores of a study say, computed group by group; the report only draws it."""

"""What the data can carry: resampling, break tests, intervals, the choice between laws, and warnings."""

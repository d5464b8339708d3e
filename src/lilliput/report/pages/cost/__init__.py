"""The page Cost: which shapes are worth their compute."""

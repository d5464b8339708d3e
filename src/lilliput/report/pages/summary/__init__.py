"""The page Summary: every question of the study with its answer."""

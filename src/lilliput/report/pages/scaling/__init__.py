"""The page Scaling: the compute-optimal frontier and the laws of loss against compute."""

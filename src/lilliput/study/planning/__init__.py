"""Planning: what a study will cost, how its runs share workers and devices, and what a changed recipe adds."""

"""Which strategies are worth their cost, and how sure that is."""

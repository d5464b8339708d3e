"""Laws of loss, one module a law: how each is fitted and what its curve says. No resampling, no tables."""

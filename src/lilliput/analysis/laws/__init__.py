"""Laws of loss, one module a law: how each is fitted and what its curve says. No resampling, no tables.

The registry imports every module of this room when a law is first asked for, so a new law is one module.
"""

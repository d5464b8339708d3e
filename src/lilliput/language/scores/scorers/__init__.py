"""Hold the scorers of spans that ship with the package, one module for each kind."""

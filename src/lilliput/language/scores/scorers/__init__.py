"""The scorers of spans that ship with the package; one module each."""

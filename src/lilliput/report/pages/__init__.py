"""The pages of the report, one module each: from the evidence to what a template draws."""

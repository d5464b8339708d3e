"""A figure as data, and how it is drawn for print; the page draws the same descriptions in JavaScript."""

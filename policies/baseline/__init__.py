"""The security baseline: policies as data and pure validators, and the adapter that serves them."""

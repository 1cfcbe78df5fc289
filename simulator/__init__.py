"""The engine without an account: its bootstrap, its language host, its providers, all of our own."""

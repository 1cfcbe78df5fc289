"""The language host: how the engine runs Python programs and policy packs."""

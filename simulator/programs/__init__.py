"""The Go programs that the platform runs with or is tested against, each pinned in a folder here."""

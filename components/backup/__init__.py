"""Backups: where they are kept, who may use them, when they are made, and the proof that they restore."""

"""Simulated providers: the real engine previews and deploys a program over them without any account."""

"""Measurements, each beside what it is compared to, all in one run on one machine."""

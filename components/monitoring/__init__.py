"""What watches the platform, and who is told."""

"""What keeps the product's data."""

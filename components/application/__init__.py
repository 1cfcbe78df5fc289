"""What serves the product: its workloads."""

"""What a stack costs in a month: sizes off its resources, prices off a file."""

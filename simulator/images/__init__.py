"""Images without a container engine: their root filesystems, and programs that run inside them."""

"""The edge: what stands between the world and the entrance, at Cloudflare."""

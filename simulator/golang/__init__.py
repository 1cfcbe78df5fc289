"""Programs written in Go, on any machine: built once from pinned sources out of Go's module registry."""

"""How a change reaches an environment: what reviewers read, what stops it, what it costs, and its way on."""

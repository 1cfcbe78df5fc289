"""The reusable components: one for each thing that an operator has a word for."""

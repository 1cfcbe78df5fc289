"""The real `pulumi` engine, on any machine."""

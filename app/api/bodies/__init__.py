"""What requests carry, by what they are about. Each has an example that is valid."""

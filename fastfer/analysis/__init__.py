"""What is in the data, measured rather than assumed."""

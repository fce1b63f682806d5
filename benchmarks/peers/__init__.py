"""What the product is held against: the same work, done with nothing but what it needs."""

SOURCE = "benchmarks/peers"
"""Where this is; links to it are made to fit where the page is."""

"""HTTP: routes translate between requests and commands or queries, and hold no rules."""

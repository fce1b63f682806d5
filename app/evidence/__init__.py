"""Evidence: what an outsider checks a ledger with; the standards' own arithmetic."""

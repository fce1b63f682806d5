"""What happens to a request between the API and the ledger: load, decide, append, project."""

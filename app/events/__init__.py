"""The ledger: how events are named, encoded, kept and read back."""

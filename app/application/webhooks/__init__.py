"""Sending events to webhooks: the ledger is the outbox."""

"""OKR Ledger: the event-sourced JSON API for running an OKR programme."""

__version__ = "0.1.0"

"""Reads: rows of one moment, put together into what the API shows. Nothing here writes."""

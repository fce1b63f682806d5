"""Runners that measure the product beside a peer, in one run on one machine."""

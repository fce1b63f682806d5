"""The pure core: what an OKR programme is, and which of its commands apply when.

Nothing here reads a clock, makes an id, or touches a database. Each module reads top to bottom:
events, state, evolve, commands, decide.
"""

"""The parts of a run: each measures some figures, and tells of them as a section of the page."""

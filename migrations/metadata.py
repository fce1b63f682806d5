"""All tables as the program declares them; a test holds the migrated schema against them."""

from sqlmodel import SQLModel

import app.events.tables
import app.projections.registry  # noqa: F401 (registers the tables)

metadata = SQLModel.metadata

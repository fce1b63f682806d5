"""The ASGI application: wiring only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

from app import __version__
from app.api import openapi, problems
from app.api.dependencies import only_known_parameters
from app.api.middleware import BodyLimit, Envelope
from app.api.routes import (
    access,
    alignments,
    blockers,
    cycles,
    dependencies,
    deployment,
    history,
    imports,
    key_results,
    kpis,
    lineage,
    objectives,
    operations,
    organizations,
    people,
    planning,
    quality,
    reviews,
    teams,
    training,
)
from app.application.keys import Keys
from app.application.ledgers import Ledgers
from app.config import Settings
from app.database import checked_pool

ROUTERS = (
    organizations.router,
    deployment.router,
    people.router,
    teams.router,
    training.workshops,
    training.coaches,
    training.readiness,
    cycles.router,
    cycles.reflections,
    planning.router,
    objectives.router,
    quality.router,
    key_results.router,
    key_results.check_ins,
    kpis.router,
    alignments.router,
    dependencies.router,
    lineage.router,
    blockers.router,
    reviews.router,
    history.router,
    imports.router,
    access.router,
    operations.router,
)

DESCRIPTION = """\
Run an OKR programme in three phases, and keep a history that can be trusted.

Every change is an event in the organisation's ledger. Reads take `as_of`, a ledger position or a
moment, and show what was true then. Errors are RFC 9457 problem documents.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application for these settings, or for those of the environment."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        options = {"size": settings.pool_size, "command_timeout": settings.command_timeout}
        async with checked_pool(settings, **options) as pool:
            app.state.ledgers = Ledgers(pool)
            app.state.keys = Keys(pool)
            yield

    app = FastAPIOffline(
        redoc_url=None,
        title="OKR Ledger",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    for router in ROUTERS:
        strict = [] if router is operations.router else [Depends(only_known_parameters)]
        app.include_router(router, dependencies=strict)
    app.state.routes = [route for router in ROUTERS for route in router.routes]
    problems.install(app)
    app.add_middleware(
        BodyLimit, largest=settings.max_body_bytes, largest_import=settings.max_import_bytes
    )
    app.add_middleware(Envelope)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    return app

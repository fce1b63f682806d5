"""The ASGI application: wiring only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from uuid import UUID

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

from app import __version__, logs
from app.api import openapi, problems
from app.api.admission import Admission, Lanes
from app.api.bundles import Bundles
from app.api.demands import Demanding
from app.api.lean import Lean
from app.api.limits import Limits
from app.api.metrics import Metrics
from app.api.middleware import Bounds, Cors, Envelope, Failures
from app.api.reading import only_known_parameters
from app.api.routes import (
    access,
    alignments,
    batches,
    blockers,
    csv_imports,
    cycles,
    dependencies,
    deployment,
    evidence,
    history,
    imports,
    key_results,
    kpis,
    lineage,
    mine,
    objectives,
    operations,
    organizations,
    people,
    planning,
    quality,
    reviews,
    roles,
    teams,
    timelines,
    training,
    webhooks,
)
from app.api.streams import Streams
from app.application.bell import Bell
from app.application.keys import Keys
from app.application.ledgers import Ledgers
from app.application.tokens import Tokens
from app.application.webhooks.leases import Messages
from app.application.webhooks.posting import Poster
from app.application.webhooks.sender import Sender
from app.application.webhooks.targets import Targets
from app.config import Settings
from app.database import checked_pool, listeners
from app.queries.webhooks import event_message, sample_message
from app.signing import signing_key

ROUTERS = (
    organizations.router,
    deployment.router,
    people.router,
    roles.router,
    mine.router,
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
    key_results.check_in_routes,
    batches.router,
    kpis.router,
    alignments.router,
    dependencies.router,
    lineage.router,
    blockers.router,
    reviews.router,
    reviews.organization,
    history.router,
    timelines.router,
    evidence.router,
    imports.router,
    csv_imports.router,
    access.router,
    webhooks.router,
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
    logs.configure(settings.log)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        options = {
            "size": settings.pool_size,
            "command_timeout": settings.command_timeout,
            "lock_timeout": settings.request_timeout,
            # Longer than a lock is waited for: whoever waits behind a dead one gives up first.
            "idle_timeout": settings.request_timeout + 1,
        }
        async with checked_pool(settings, **options) as pool:
            bell = app.state.bell = Bell(listeners(str(settings.database_url)))

            def grown(org_id: UUID, position: int) -> None:
                bell.ring(org_id, position)
                app.state.sender.grown(org_id)

            ledgers = app.state.ledgers = Ledgers(
                pool,
                grown=grown,
                spans=settings.batches_span_ledgers,
                statement_seconds=settings.request_timeout,
                most_folded=settings.max_kept_events,
            )
            app.state.keys = Keys(pool)
            app.state.tokens = Tokens(settings)
            app.state.signing_key = signing_key(settings)
            messages = Messages(event_message, sample_message)
            with closing(Targets(settings.webhook_networks)) as targets:
                app.state.targets = targets
                poster, share = Poster(targets), max(1, settings.pool_size // 4)
                sender = app.state.sender = Sender(ledgers, messages, poster, connections=share)
                async with bell.ringing(), sender.sending():
                    try:
                        yield
                    finally:
                        await ledgers.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="OKR Ledger",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        # It would hand on what clients sent, with the messages of exceptions.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for router in ROUTERS:
        strict = [] if router is operations.router else [Depends(only_known_parameters)]
        app.include_router(router, dependencies=strict)
    app.state.routes = [route for router in ROUTERS for route in router.routes]
    app.include_router(operations.unlisted)
    app.state.routes += operations.unlisted.routes
    app.state.settings = settings
    app.state.limits = Limits(settings)
    app.state.lanes = Lanes(settings)
    app.state.streams = Streams(settings)
    app.state.bundles = Bundles(settings)
    app.state.metrics = Metrics(lambda: getattr(app.state, "keys", None) and app.state.ledgers.pool)
    problems.install(app)
    app.router.middleware_stack = Lean(app.router.middleware_stack, app.state.routes)
    # From the inside out: the last one added is the first to see a request.
    demanding = Demanding(app.state.routes)
    app.add_middleware(Bounds, settings=settings, demanding=demanding)
    app.add_middleware(Admission, settings=settings, lanes=app.state.lanes, demanding=demanding)
    app.add_middleware(Failures)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
    app.add_middleware(Envelope, watch=app.state.metrics.count, hsts_seconds=settings.hsts_seconds)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    return app

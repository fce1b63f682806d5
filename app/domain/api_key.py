"""API keys. The ledger knows a key's scopes, reach and end, never the key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.access import Scope
from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.key_result import KeyResult
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import Key, Line, Moment

# Events -----------------------------------------------------------------------------------


class ApiKeyEvent(Event, stream="api_key", key="key_id"):
    key_id: UUID


class ApiKeyIssued(ApiKeyEvent, type="api_key.issued"):
    """A key that stands for nobody reaches the whole organisation, or no further than `teams`.

    It may be narrowed to check-ins on some key results, or from some sources.
    """

    name: Line
    scopes: tuple[Scope, ...]
    person_id: UUID | None = None
    teams: tuple[UUID, ...] | None = None
    key_results: tuple[UUID, ...] | None = None
    sources: tuple[Key, ...] | None = None
    expires_at: Moment | None = None


class ApiKeyRevoked(ApiKeyEvent, type="api_key.revoked"):
    pass


ApiKeyEvents = ApiKeyIssued | ApiKeyRevoked


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ApiKey:
    key_id: UUID
    revoked: bool = False


def evolve(state: ApiKey | None, event: ApiKeyEvents) -> ApiKey | None:
    match event:
        case ApiKeyIssued():
            return ApiKey(event.key_id)
        case ApiKeyRevoked():
            return state and replace(state, revoked=True)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyCommand(Command):
    category: ClassVar[str] = "api_key"
    key_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueApiKey(ApiKeyCommand):
    """`held` are the scopes of whoever asks: nobody hands out more than they have."""

    name: str
    scopes: tuple[Scope, ...]
    held: frozenset[Scope]
    person_id: UUID | None = None
    teams: tuple[UUID, ...] | None = None
    key_results: tuple[UUID, ...] | None = None
    sources: tuple[str, ...] | None = None
    expires_at: Moment | None = None
    known_key_results: tuple[KeyResult | None, ...] = looked_up(
        "key_results", lambda _, c: c.key_results or ()
    )
    unknown_teams: tuple[UUID, ...] = looked_up("unknown_teams", lambda _, c: c.teams or ())
    person_known: bool = looked_up("person_known", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeApiKey(ApiKeyCommand):
    pass


ApiKeyCommands = IssueApiKey | RevokeApiKey


_NARROW = frozenset({Scope.READ, Scope.CHECK_INS_WRITE})
"""What a key may do that is narrowed to key results or sources."""


def _demand_narrow(command: IssueApiKey) -> None:
    """Raises NotFound, and Refusal for what a narrowed key cannot be."""
    for name, narrowed in (("key_results", command.key_results), ("sources", command.sources)):
        if narrowed is None:
            continue
        if command.person_id is not None:
            raise Refusal(
                f"A person's key reaches as far as the person's roles do; leave out {name}.",
                pointer=f"/{name}",
            )
        if set(command.scopes) - _NARROW:
            raise Refusal(
                f"A key that is narrowed to {name.replace('_', ' ')} checks in: leave out all "
                f"scopes but {' and '.join(sorted(_NARROW))}.",
                pointer="/scopes",
            )
    for n, known in enumerate(command.known_key_results):
        if known is None:
            id = (command.key_results or ())[n]
            raise NotFound("key result", id, pointer=f"/key_results/{n}")


def decide(state: ApiKey | None, command: ApiKeyCommands) -> list[ApiKeyEvents]:
    match command:
        case IssueApiKey():
            if command.person_id is not None and not command.person_known:
                raise NotFound("person", command.person_id, pointer="/person_id")
            if command.person_id is not None and command.teams is not None:
                raise Refusal(
                    "A person's key reaches as far as the person's roles do; leave out teams.",
                    pointer="/teams",
                )
            for team in command.unknown_teams:
                raise NotFound("team", team, pointer="/teams")
            if command.teams is not None and Scope.HISTORY_READ in command.scopes:
                raise Refusal(
                    "The history is the whole organisation's: leave out history:read, or teams.",
                    pointer="/scopes",
                )
            _demand_narrow(command)
            beyond = sorted(set(command.scopes) - command.held)
            if beyond:
                raise Refusal(
                    f"This key may not hand out scopes it lacks: {', '.join(beyond)}.",
                    pointer="/scopes",
                )
            if command.expires_at is not None and command.expires_at <= command.at:
                raise Refusal("expires_at lies in the past.", pointer="/expires_at")
            return [
                ApiKeyIssued(
                    key_id=command.key_id,
                    name=command.name,
                    scopes=tuple(sorted(set(command.scopes))),
                    person_id=command.person_id,
                    teams=command.teams,
                    key_results=command.key_results,
                    sources=command.sources,
                    expires_at=command.expires_at,
                )
            ]
        case RevokeApiKey():
            if state is None:
                raise NotFound("API key", command.key_id)
            if state.revoked:
                raise InvalidState("API key", "revoked", "RevokeApiKey", "Nothing to do.")
            return [ApiKeyRevoked(key_id=state.key_id)]
        case _:
            assert_never(command)


decider: Decider[ApiKey | None, ApiKeyCommands, ApiKeyEvents] = Decider(
    category="api_key", initial=None, evolve=evolve, decide=decide
)

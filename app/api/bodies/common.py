"""What bodies of requests have in common."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from app.domain.values import Prose, made

M = TypeVar("M", bound=BaseModel)

ID = "01980000-0000-7000-8000-00000000000"


def narrow(model: type[M], body: BaseModel) -> M:
    """The part of a body that is such a model; it was validated with the body."""
    return made(model, **{name: getattr(body, name) for name in model.model_fields})


def patched(model: type[M], current: M, patch: BaseModel) -> M:
    """`current` with what the patch states."""
    stated = patch.model_fields_set & set(model.model_fields)
    return current.model_copy(update={name: getattr(patch, name) for name in stated})


def unstated() -> Any:
    """The default of a field that may be left out, but is never null."""
    return Field(default_factory=lambda: None)


def example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReasonBody(Body):
    model_config = example(reason="The market moved.")
    reason: Prose


class OptionalReasonBody(Body):
    model_config = example(reason="It measures the wrong thing.")
    reason: Prose | None = None


class NoteBody(Body):
    model_config = example(note="Live since Monday.")
    note: Prose | None = None

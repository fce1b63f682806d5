"""The demonstration: an invented company, in the middle of a quarter that began six weeks ago."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

from uuid_utils.compat import uuid7

from app.application.import_document import (
    CheckInItem,
    ImportDocument,
    KeyResultItem,
    ObjectiveItem,
    parse,
)
from app.application.keys import keep_key, make_key
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.api_key import IssueApiKey
from app.events.envelope import Meta

_FILE = Path(__file__).with_name("demo.json")
_DAYS_SINCE_START = 43


def document(today: date) -> ImportDocument:
    """The demonstration as if its cycle had begun 43 days before `today`."""
    written = parse(_FILE.read_bytes())
    shift = today - timedelta(days=_DAYS_SINCE_START) - written.cycle.starts_on
    cycle = written.cycle.model_copy(
        update={
            "starts_on": written.cycle.starts_on + shift,
            "ends_on": written.cycle.ends_on + shift,
        }
    )
    objectives = tuple(_shifted_objective(one, shift) for one in written.objectives)
    return written.model_copy(update={"cycle": cycle, "objectives": objectives})


async def issue_key(ledgers: Ledgers, org_id: UUID) -> str:
    """A key that may do everything in the demonstration."""
    key = make_key("demo")
    scopes = tuple(Scope)

    async def work(unit: UnitOfWork) -> None:
        id = unit.new_id("api_key")
        await unit.execute(
            IssueApiKey(key_id=id, name="Demonstration", scopes=scopes, held=frozenset(scopes))
        )
        await keep_key(unit.conn, org_id, id, key)

    await ledgers.run(org_id, Meta("operator/cli", "demo", uuid7()), work)
    return key


def _shifted_objective(objective: ObjectiveItem, shift: timedelta) -> ObjectiveItem:
    key_results = tuple(_shifted_key_result(one, shift) for one in objective.key_results)
    return objective.model_copy(update={"key_results": key_results})


def _shifted_key_result(key_result: KeyResultItem, shift: timedelta) -> KeyResultItem:
    check_ins = tuple(_shifted_check_in(one, shift) for one in key_result.check_ins)
    return key_result.model_copy(update={"check_ins": check_ins})


def _shifted_check_in(check_in: CheckInItem, shift: timedelta) -> CheckInItem:
    assert check_in.occurred_at is not None, "the demonstration dates its check-ins"
    return check_in.model_copy(update={"occurred_at": check_in.occurred_at + shift})

"""How a programme fares in a cycle: its failure modes, calibration, and the process survey.

Each mode has its definition, its numerator and denominator, and the items behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.calibration import Claim, brier
from app.domain.measures import RUNGS
from app.domain.scoring import roll_up
from app.domain.survey import ASKED, Diagnosis, diagnose
from app.domain.values import share
from app.projections.key_results import KeyResultRow
from app.projections.survey_answers import SurveyAnswerRow
from app.queries import cycles, failure_modes, goals
from app.queries.failure_modes import MODES, NO_COACH, NO_COACH_DEFINITION, Found
from app.queries.views import Figure, View

FEWEST_ANSWERS = 3
"""With fewer answers than these, nobody's could stay anybody's."""


class FailureMode(View):
    """One way to fail: how often it happened, out of how many, and where."""

    id: str = Field(examples=["set_and_forget"])
    definition: str
    numerator: int
    denominator: int
    share: Figure
    items: list[UUID]


class Calibration(View):
    """Brier score of stated confidence: the mean of (confidence - outcome)². 0 is perfect.

    Of each scored key result it takes the last confidence that was stated, and asks whether the
    score is good. Under radical focus, a confidence that nobody stated stands where it starts.
    """

    brier: Figure
    forecasts: int
    items: list[UUID]


class LevelClaims(View):
    """One level, held at one probability: how many key results reached it, of how many.

    `items` are those that reached it.
    """

    level: Literal["commit", "target", "stretch"]
    claimed: Figure
    reached: int
    claims: int
    share: Figure
    brier: Figure
    items: list[UUID]


class ClaimsCalibration(View):
    """How far the claims of the scoring system came true, over key results that were scored.

    Stretch / target / commit holds three levels at 10, 50 and 90%; radical focus holds the target
    at the confidence it starts with. What was amended is judged by its terms at commitment. Claims
    that come true just as often as they say have Brier scores of 0.09, 0.25 and 0.09: not 0, which
    nobody but a clairvoyant reaches. `items` are all key results that something was claimed of.
    """

    brier: Figure
    claims: int
    levels: list[LevelClaims]
    items: list[UUID]


class HealthReport(View):
    """`bottom_up_target` is what was decided; the rest is measured.

    It is judged by the decisions in force when the cycle's scoring began, or else by those of now.
    `withheld` key results are left out of what is made of scores, as you may not see theirs.
    """

    cycle_id: UUID
    team_id: UUID | None
    failure_modes: list[FailureMode]
    bottom_up_share: Figure
    bottom_up_target: Figure
    calibration: Calibration
    claims: ClaimsCalibration
    withheld: int


class SurveyView(View):
    """Averages from 1 to 5, null below three answers; `diagnosis` sets them beside the results."""

    cycle_id: UUID
    answers: int
    averages: dict[str, float] | None
    agreement: float | None
    score: Figure
    diagnosis: Diagnosis | None


def part(count: int, of: int) -> Decimal | None:
    """A share; None of nothing."""
    return None if not of else share(Decimal(count) / of)


def _mode(id: str, definition: str, found: Found) -> FailureMode:
    return FailureMode(
        id=id,
        definition=definition,
        numerator=len(found.items),
        denominator=found.of,
        share=part(len(found.items), found.of),
        items=list(found.items),
    )


def calibration(forecasts: Sequence[tuple[UUID, Decimal, bool]]) -> Calibration:
    return Calibration(
        brier=brier((confidence, is_good) for _, confidence, is_good in forecasts),
        forecasts=len(forecasts),
        items=[id for id, _, _ in forecasts],
    )


def claims(made: Sequence[tuple[UUID, Claim]]) -> ClaimsCalibration:
    """By level, and by the probability that it was held at: that may change between cycles."""
    apart: dict[tuple[int, Decimal], list[tuple[UUID, Claim]]] = defaultdict(list)
    for id, claim in made:
        apart[RUNGS.index(claim.level), claim.claimed].append((id, claim))
    return ClaimsCalibration(
        brier=brier((claim.claimed, claim.reached) for _, claim in made),
        claims=len(made),
        levels=[_level(apart[key]) for key in sorted(apart)],
        items=list(dict.fromkeys(id for id, _ in made)),
    )


def _level(made: Sequence[tuple[UUID, Claim]]) -> LevelClaims:
    reached = [id for id, claim in made if claim.reached]
    _, first = made[0]
    return LevelClaims.model_validate(
        {
            "level": first.level.value,
            "claimed": first.claimed,
            "reached": len(reached),
            "claims": len(made),
            "share": part(len(reached), len(made)),
            "brier": brier((claim.claimed, claim.reached) for _, claim in made),
            "items": reached,
        }
    )


async def health(reader: Reader, cycle_id: UUID, team_id: UUID | None = None) -> HealthReport:
    """A cycle's failure modes, of the whole organisation or of one team. Raises NotFound."""
    (facts,) = await failure_modes.gather(reader, [await cycles.row(reader, cycle_id)], team_id)
    uncovered = await failure_modes.no_coach(reader, team_id)
    from_below = failure_modes.share_from_below(facts)
    return HealthReport(
        cycle_id=cycle_id,
        team_id=team_id,
        failure_modes=[
            *(_mode(mode.id, mode.definition, mode.find(facts)) for mode in MODES),
            _mode(NO_COACH, NO_COACH_DEFINITION, uncovered),
        ],
        bottom_up_share=part(len(from_below.items), from_below.of),
        bottom_up_target=facts.decided.bottom_up.target_share,
        calibration=calibration(failure_modes.confidences(facts)),
        claims=claims(failure_modes.claimed(facts)),
        withheld=facts.withheld,
    )


async def survey(reader: Reader, cycle_id: UUID) -> SurveyView:
    cycle = await cycles.row(reader, cycle_id)
    answers = await reader.rows.select(SurveyAnswerRow, {"cycle_id": cycle_id})
    scored = await reader.rows.select(KeyResultRow, {"cycle_id": cycle_id, "removed": False})
    score = roll_up((one.score, one.weight) for one in scored)
    averages = None
    if len(answers) >= FEWEST_ANSWERS:
        averages = {
            name: round(sum(getattr(one, name) for one in answers) / len(answers), 2)
            for name in ASKED
        }
    agreement = None if averages is None else round(sum(averages.values()) / len(averages), 2)
    told = None if agreement is None else Decimal(str(agreement))
    return SurveyView(
        cycle_id=cycle_id,
        answers=len(answers),
        averages=averages,
        agreement=agreement,
        score=score,
        diagnosis=diagnose(told, score, goals.rules_of(cycle).good),
    )

"""Audit: check a bundle with nothing but the bundle, a public key, and the same pure domain.

Neither a server nor a database is needed. Memory grows with what the ledger is about (the states
of its streams), not with the length of the file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from app.application.bundle_format import NotABundle, Opening, event_of, parts_of
from app.domain.catalog import STREAMS
from app.domain.cycle import Cycle
from app.domain.deployment import MeasureWhatMatters
from app.domain.key_result import KeyResult, KeyResultScored
from app.domain.messages import Event, Stream
from app.domain.scoring import compute
from app.events.codec import UnreadableEvent
from app.events.envelope import Recorded
from app.events.texts import Texts
from app.evidence.merkle import Frontier, is_included
from app.evidence.notes import Checkpoint, VerifierKey, open_note

# Of a cycle only these are whole: other streams began before it, or outside of it.
_WHOLE_IN_A_CYCLE = ("cycle", "objective", "key_result")


@dataclass(slots=True)
class Verdict:
    """What an audit found. It holds where `findings` is empty.

    `vouched_for` tells whether the signature was checked with a key that the auditor brought, and
    not with the one that the bundle itself names.
    """

    checkpoint: Checkpoint
    organization_id: UUID
    cycle_id: UUID | None
    vouched_for: bool = False
    events: int = 0
    scores: int = 0
    findings: list[str] = field(default_factory=list)


def audit(
    lines: Iterable[bytes],
    *,
    key: VerifierKey | None = None,
    earlier: Iterable[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Verdict:
    """Check the lines of a bundle. Raises NotABundle, NotANote.

    `key` is the signer's, from elsewhere than the bundle; `earlier` are checkpoints that were
    kept of this ledger, and that it must have grown out of.
    """
    parts = parts_of(lines, progress)
    opening = Opening.read(parts)
    trusted = key or opening.verifier
    verdict = _opened(opening, trusted)
    verdict.vouched_for = key is not None
    kept = [Checkpoint.parse(open_note(note, trusted)) for note in earlier]
    _Auditor(verdict, kept).run(parts)
    return verdict


def _opened(opening: Opening, key: VerifierKey) -> Verdict:
    """What the bundle says it is, held against its checkpoint. Raises NotANote."""
    checkpoint = Checkpoint.parse(open_note(opening.note, key))
    verdict = Verdict(checkpoint, opening.org_id, opening.cycle_id)
    if not checkpoint.origin.endswith(f"/{opening.org_id}"):
        verdict.findings.append(
            f"the checkpoint is of {checkpoint.origin}, and not of organisation {opening.org_id}"
        )
    if checkpoint.size != opening.size:
        verdict.findings.append(
            f"the bundle says it has the ledger up to event {opening.size}, the checkpoint up to "
            f"{checkpoint.size}"
        )
    return verdict


class _Auditor:
    """Goes through the events once, folding as it goes."""

    def __init__(self, verdict: Verdict, earlier: list[Checkpoint]) -> None:
        self._verdict = verdict
        self._say = verdict.findings.append
        self._earlier = {one.size: one for one in earlier}
        self._is_whole = verdict.cycle_id is None
        self._texts = Texts(verdict.organization_id, {})
        self._frontier = Frontier()
        self._states: dict[Stream, Any] = {}
        self._versions: dict[Stream, int] = {}
        self._last = 0
        self._ended = False

    def run(self, parts: Iterator[dict[str, Any]]) -> None:
        """Raises NotABundle."""
        self._meet(0)
        for part in parts:
            if self._ended:
                raise NotABundle("something follows its end")
            match part:
                case {"event": dict(fields)}:
                    self._event(fields, part)
                case {"text_key": {"author": str(author), "key": str(secret)}}:
                    self._texts.keys[author] = base64.b64decode(secret)
                case {"schema": dict()}:
                    pass
                case {"end": {"events": int(count)}}:
                    self._end(count)
                case _:
                    raise NotABundle(f"a line is of no kind that is known: {str(part)[:80]}")
        if not self._ended:
            raise NotABundle("it breaks off: its last line is not its end")

    def _end(self, count: int) -> None:
        self._ended = True
        if count != self._verdict.events:
            self._say(f"its end tells of {count} events, and there are {self._verdict.events}")
        if not self._is_whole:
            for checkpoint in self._earlier.values():
                self._say(
                    f"whether it grew out of the checkpoint of {checkpoint.size} events cannot be "
                    "told from a cycle alone: ask for the whole ledger"
                )
            return
        signed = self._verdict.checkpoint
        for missing in range(self._last + 1, min(signed.size, self._last + 100) + 1):
            self._say(f"event {missing} is missing")
        if (self._frontier.size, self._frontier.root()) != (signed.size, signed.root):
            self._say("the events taken together are not those that were signed")
        for size in self._earlier:
            if size > self._frontier.size:
                self._say(f"an earlier checkpoint has {size} events, more than there are now")

    # One event

    def _event(self, fields: dict[str, Any], part: dict[str, Any]) -> None:
        self._verdict.events += 1
        try:
            recorded = event_of(self._verdict.organization_id, fields)
            proof = [base64.b64decode(node, validate=True) for node in part["proof"]]
            stated = str(part["leaf_hash"])
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            self._say(f"event {fields.get('position')} cannot be read: {error!r}")
            return
        self._place(recorded)
        leaf, signed = recorded.leaf_hash(), self._verdict.checkpoint
        if leaf.hex() != stated:
            self._say(f"event {recorded.position} was altered: its content does not fit its hash")
        elif not is_included(leaf, recorded.position - 1, signed.size, proof, signed.root):
            self._say(f"event {recorded.position} is not shown to be in the ledger that was signed")
        self._frontier.add(leaf)
        self._meet(self._frontier.size)
        self._replay(recorded)

    def _place(self, recorded: Recorded) -> None:
        """Whether it stands where it must."""
        position = recorded.position
        if position <= self._last:
            self._say(f"event {position} stands after event {self._last}")
        elif self._is_whole:
            for missing in range(self._last + 1, min(position, self._last + 100)):
                self._say(f"event {missing} is missing")
        self._last = max(self._last, position)
        before = self._versions.get(recorded.stream, 0)
        if recorded.version <= before or (self._is_whole and recorded.version != before + 1):
            self._say(
                f"event {position} is version {recorded.version} of {recorded.stream}, after "
                f"version {before}"
            )
        self._versions[recorded.stream] = recorded.version

    def _meet(self, size: int) -> None:
        """Whether the ledger was, at a size, what a checkpoint that the auditor kept says."""
        kept = self._earlier.get(size)
        if kept is not None and self._is_whole and kept.root != self._frontier.root():
            self._say(f"the first {size} events are not those of the checkpoint that was kept")

    def _replay(self, recorded: Recorded) -> None:
        """Fold it with the same domain; recompute the score that it states."""
        stream = recorded.stream
        if not self._is_whole and stream.category not in _WHOLE_IN_A_CYCLE:
            return
        try:
            opened = replace(recorded, texts=self._texts)
            event = opened.event
            decider = STREAMS[stream.category]
            state = self._states.get(stream, decider.initial)
            if isinstance(event, KeyResultScored):
                self._score(recorded, state, event)
            self._states[stream] = decider.evolve(state, event)
        except UnreadableEvent as error:
            self._say(f"event {recorded.position}: {error}")
        except (AssertionError, KeyError, AttributeError, TypeError, ValueError) as error:
            self._say(f"event {recorded.position} does not follow from those before it: {error!r}")

    def _score(self, recorded: Recorded, state: Any, event: Event) -> None:
        """Whether a score is what its formula gives for the readings before it."""
        assert isinstance(event, KeyResultScored)
        if not isinstance(state, KeyResult):
            raise AssertionError("a key result is scored that was never drafted")
        cycle = self._states.get(Stream("cycle", event.cycle_id))
        if not isinstance(cycle, Cycle):
            raise AssertionError("a key result is scored in a cycle that was never planned")
        self._verdict.scores += 1
        rules = cycle.scoring or MeasureWhatMatters()
        until = min(recorded.recorded_at, cycle.ended_at)
        found = compute(rules, state.terms.measure, state.told, until)
        stated = {"computed": event.computed, "formula": event.formula}
        right = {"computed": found.score, "formula": found.formula}
        if state.committed_terms is not None:
            measure = state.committed_terms.measure
            stated["as_committed"] = event.as_committed
            right["as_committed"] = compute(rules, measure, state.told, until).score
        if not event.adjustment_reason:
            stated["score"], right["score"] = event.score, found.score
        for name, value in stated.items():
            if value != right[name]:
                self._say(
                    f"event {recorded.position} states {name} {value} of key result "
                    f"{event.key_result_id}, and its readings give {right[name]}"
                )

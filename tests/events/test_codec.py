"""What is written stays readable, for ever."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile
from pathlib import Path

import pytest

from app.domain.catalog import EVENTS, STREAMS
from app.domain.key_result import CheckInRecorded
from app.domain.messages import Event
from app.events.codec import UnreadableEvent, decode, encode
from app.events.envelope import Meta, Recorded
from app.events.upcasters import UPCASTERS
from tests.domain.builders import KEY_RESULT_DRAFTED, NOW, uid
from tests.events.samples import SAMPLES

GOLDEN = Path(__file__).parent / "golden"


def test_there_is_a_sample_of_every_event() -> None:
    assert {type(sample) for sample in SAMPLES} == set(EVENTS.values())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.type_name)
def test_an_event_is_read_back_as_it_was_written(sample: Event) -> None:
    assert decode(sample.type_name, sample.schema_version, encode(sample)) == sample


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.type_name)
def test_what_is_written_today_is_what_was_written_before(sample: Event) -> None:
    """A golden file per event and version: a change of format must raise the version."""
    path = GOLDEN / f"{sample.type_name}.{sample.schema_version}.json"
    written = path.read_text().splitlines()
    assert encode(sample) in written


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_every_golden_sample_of_every_version_still_folds(path: Path) -> None:
    type_name, version = path.stem.rsplit(".", 1)
    for line in path.read_text().splitlines():
        event = decode(type_name, int(version), line)
        of_stream = [sample for sample in SAMPLES if sample.stream == event.stream]
        before = takewhile(lambda sample: sample.type_name != type_name, of_stream)
        assert STREAMS[event.category].fold([*before, event]) is not None


def test_every_older_version_has_a_way_up_and_a_golden_sample() -> None:
    for type_name, event in EVENTS.items():
        for version in range(1, event.schema_version):
            assert (type_name, version) in UPCASTERS
            assert (GOLDEN / f"{type_name}.{version}.json").exists()


def test_a_check_in_of_version_1_reads_its_percentage_as_a_share() -> None:
    event = decode("check_in.recorded", 1, (GOLDEN / "check_in.recorded.1.json").read_text())
    assert isinstance(event, CheckInRecorded)
    assert event.terms.confidence == Decimal("0.6")
    assert event.last_word == ("moment", "value", "confidence", "health")
    folded = STREAMS["key_result"].fold([KEY_RESULT_DRAFTED, event])
    assert folded.progress() == Decimal("0.5")


def test_a_check_in_of_version_2_states_no_standing_and_counts_all_the_same() -> None:
    for line in (GOLDEN / "check_in.recorded.2.json").read_text().splitlines():
        event = decode("check_in.recorded", 2, line)
        assert isinstance(event, CheckInRecorded)
        assert event.standing is None
        folded = STREAMS["key_result"].fold([KEY_RESULT_DRAFTED, event])
        assert folded.progress() == Decimal("0.505")


@pytest.mark.parametrize(("type_name", "version"), [("goal.dreamt", 1), ("cycle.opened", 99)])
def test_an_event_from_the_future_is_not_guessed_at(type_name: str, version: int) -> None:
    with pytest.raises(UnreadableEvent, match="newer"):
        decode(type_name, version, "{}")


def test_the_leaf_hash_covers_everything_that_is_kept() -> None:
    sample = SAMPLES[0]
    recorded = Recorded(
        org_id=uid(1),
        position=7,
        stream=sample.stream,
        version=3,
        event_id=uid(2),
        type=sample.type_name,
        schema_version=1,
        cycle_id=None,
        data='{"name":"Größe"}',
        meta=Meta("person/x", "api", uid(3)),
        occurred_at=NOW,
        recorded_at=datetime(2026, 2, 1, 9, 0, 0, 5, tzinfo=UTC),
        told=sample,
    )
    leaf = json.dumps(
        [
            str(uid(1)), 7, "organization", str(sample.stream.id), 3, str(uid(2)),
            "organization.founded", 1, None, '{"name":"Größe"}', "person/x", "api", str(uid(3)),
            None, "2026-02-01T09:00:00.000000+00:00", "2026-02-01T09:00:00.000005+00:00",
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )  # fmt: skip
    assert recorded.leaf_hash() == hashlib.sha256(b"\0" + leaf.encode()).digest()

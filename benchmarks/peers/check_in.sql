-- A check-in in plain SQL: what the product writes for one, in one call, with nothing decided.
--
-- The event, and the answer that is kept, are copies of what the product wrote for a real check-in
-- on the same ledger (bench.said), so that rows, indexes and the write-ahead log grow alike.
CREATE FUNCTION bench.check_in(
    ledger integer, new_value numeric, new_confidence numeric, new_health text, new_note text,
    idempotency_key text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    said bench.said;
    new_position bigint;
    new_version integer;
    moment timestamptz;
    new_id uuid := uuidv7();
BEGIN
    SELECT * INTO STRICT said FROM bench.said WHERE n = ledger;

    SELECT head + 1, greatest(clock_timestamp(), recorded_at) INTO STRICT new_position, moment
    FROM ledgers WHERE org_id = said.org_id FOR UPDATE;

    UPDATE key_results
    SET value = new_value, progress = said.progress, confidence = new_confidence,
        health = new_health, last_check_in_at = moment, version = version + 1
    WHERE org_id = said.org_id AND key_result_id = said.key_result_id
    RETURNING version INTO STRICT new_version;

    INSERT INTO events (org_id, position, category, stream_id, version, event_id, type,
        schema_version, cycle_id, data, actor, source, correlation_id, causation_id, occurred_at,
        recorded_at, leaf_hash)
    VALUES (said.org_id, new_position, said.category, said.key_result_id, new_version, uuidv7(),
        said.type, said.schema_version, said.cycle_id, said.data::json, said.actor, said.source,
        uuidv7(), NULL, moment, moment, sha256(convert_to(said.data, 'UTF8')));

    UPDATE ledgers SET head = new_position, recorded_at = moment
    WHERE org_id = said.org_id AND head = new_position - 1;

    INSERT INTO check_ins (org_id, check_in_id, position, version, key_result_id, objective_id,
        cycle_id, value, is_milestone, progress, confidence, health, note, next_steps, occurred_at,
        recorded_at, actor, source, retracted)
    VALUES (said.org_id, new_id, new_position, new_version, said.key_result_id, said.objective_id,
        said.cycle_id, new_value, said.is_milestone, said.progress, new_confidence, new_health,
        new_note, said.next_steps, moment, moment, said.actor, said.source, false);

    INSERT INTO idempotency_keys (org_id, credential, route, key, fingerprint, status, headers,
        body, created_at)
    VALUES (said.org_id, said.credential, said.route, idempotency_key, said.fingerprint,
        said.status, said.headers::jsonb, said.body, moment);

    RETURN new_position;
END $$;

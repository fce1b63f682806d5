-- A batch of check-ins in plain SQL, in one statement: what the product writes for one, with
-- nothing decided. The rows come as arrays; the ledger's head is locked before.
WITH said AS (
    SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::numeric[], $5::text[])
        WITH ORDINALITY AS one (key_result_id, check_in_id, value, data, n)
), told AS (
    UPDATE key_results k
    SET value = said.value, value_at = $7, progress = $8, confidence = 0.6, health = 'on_track',
        last_check_in_at = $7, version = k.version + 1
    FROM said
    WHERE k.org_id = $1 AND k.key_result_id = said.key_result_id
    RETURNING said.n, said.key_result_id, said.check_in_id, said.value, said.data, k.objective_id,
        k.cycle_id, k.version
), appended AS (
    INSERT INTO events (org_id, position, category, stream_id, version, event_id, type,
        schema_version, cycle_id, data, actor, source, correlation_id, causation_id, occurred_at,
        recorded_at, leaf_hash)
    SELECT $1, $6 + n, 'key_result', key_result_id, version, uuidv7(), 'check_in.recorded', $9,
        cycle_id, data::json, $10, 'api', $11, NULL, $7, $7, sha256(convert_to(data, 'UTF8'))
    FROM told
), shown AS (
    INSERT INTO check_ins (org_id, check_in_id, position, version, key_result_id, objective_id,
        cycle_id, value, is_milestone, progress, confidence, health, note, occurred_at,
        recorded_at, actor, source, retracted)
    SELECT $1, check_in_id, $6 + n, version, key_result_id, objective_id, cycle_id, value, false,
        $8, 0.6, 'on_track', $12, $7, $7, $10, 'api', false
    FROM told
), answered AS (
    INSERT INTO idempotency_keys (org_id, credential, route, key, fingerprint, status, headers,
        body, created_at)
    SELECT $1, credential, route, $11::uuid::text, fingerprint, status, headers, body, $7
    FROM idempotency_keys WHERE org_id = $1 AND route LIKE '%check-ins:batch'
    ORDER BY created_at LIMIT 1
)
UPDATE ledgers SET head = $6 + (SELECT count(*) FROM told), recorded_at = $7
WHERE org_id = $1
RETURNING head

-- The tree of a cycle as one nested JSON document, by a recursive query.
--
-- The recursion walks down and gives each objective its path; in the order of paths every node is
-- followed by what is below it, so that the document is the nodes' texts with brackets between.
-- Rows, names and roll-ups are those of the product's tree; what it derives (forecasts, when
-- check-ins are due, silence) and what it keeps from whom (scores) are not there.
WITH RECURSIVE parts AS (
    SELECT k.objective_id,
        round(sum(progress * weight) / nullif(sum(weight) FILTER (WHERE progress IS NOT NULL), 0),
            4) AS progress,
        round(sum(confidence * weight)
            / nullif(sum(weight) FILTER (WHERE confidence IS NOT NULL), 0), 4) AS confidence,
        round(sum(score * weight) / nullif(sum(weight) FILTER (WHERE score IS NOT NULL), 0),
            4) AS score,
        CASE WHEN bool_or(health = 'off_track') THEN 'off_track'
            WHEN bool_or(health = 'at_risk') THEN 'at_risk'
            WHEN bool_or(health IS NULL) THEN 'pending' ELSE 'on_track' END AS health,
        json_agg(json_build_object('id', key_result_id, 'version', version, 'cycle_id', cycle_id,
            'objective_id', k.objective_id, 'title', title, 'measure', measure, 'weight', weight,
            'tracked_by', tracked_by, 'removed', removed, 'value', value, 'progress', progress,
            'confidence', confidence, 'health', coalesce(health, 'pending'),
            'reported_health', health, 'last_check_in_at', last_check_in_at,
            'computed_score', computed_score, 'score', score, 'score_formula', score_formula,
            'score_comment', score_comment, 'adjustment_reason', adjustment_reason,
            'choice', choice, 'learning', learning, 'cause', cause, 'previous_id', previous_id,
            'successor_id', successor_id) ORDER BY position) AS key_results
    FROM key_results k
    WHERE org_id = $1 AND cycle_id = $2 AND NOT removed
    GROUP BY k.objective_id
), links AS (
    SELECT objective_id, (array_agg(target_objective_id ORDER BY position))[1] AS above,
        json_agg(json_build_object('id', alignment_id, 'version', version, 'cycle_id', cycle_id,
            'objective_id', objective_id,
            'target', json_build_object('kind', target_kind, 'id', target_id),
            'target_objective_id', target_objective_id, 'rationale', rationale,
            'why_now', why_now, 'agreed_by', agreed_by, 'agreed_at', agreed_at,
            'withdrawn', withdrawn, 'withdrawn_reason', withdrawn_reason,
            'previous_id', previous_id) ORDER BY position) AS contributes_to
    FROM alignments
    WHERE org_id = $1 AND cycle_id = $2 AND NOT withdrawn
    GROUP BY objective_id
), placed AS (
    SELECT o.objective_id, 1 AS depth, ARRAY[o.position] AS path
    FROM objectives o
    WHERE o.org_id = $1 AND o.cycle_id = $2
        AND NOT EXISTS (SELECT FROM links l WHERE l.objective_id = o.objective_id)
    UNION ALL
    SELECT l.objective_id, above.depth + 1, above.path || o.position
    FROM placed above
    JOIN links l ON l.above = above.objective_id
    JOIN objectives o ON o.org_id = $1 AND o.objective_id = l.objective_id
), ordered AS (
    SELECT objective_id, depth, path, lag(depth) OVER way AS before,
        lead(depth, 1, 1) OVER way AS after
    FROM placed
    WINDOW way AS (ORDER BY path)
), nodes AS (
    SELECT here.depth, here.path, here.before, here.after,
        json_build_object('id', o.objective_id, 'version', o.version, 'cycle_id', o.cycle_id,
            'owner', json_build_object('kind', o.owner_kind, 'id', o.owner_id,
                'name', coalesce(t.name, d.name)),
            'title', o.title, 'why', o.why, 'why_now', o.why_now, 'origin', o.origin,
            'status', o.status, 'outcome', o.outcome, 'outcome_reason', o.outcome_reason,
            'result_text', o.result_text, 'previous_id', o.previous_id,
            'drafted_at', o.drafted_at, 'drafted_by', o.drafted_by, 'progress', parts.progress,
            'confidence', parts.confidence, 'score', parts.score,
            'health', coalesce(o.outcome, parts.health, 'pending'),
            'key_results', coalesce(parts.key_results, '[]'::json),
            'contributes_to', coalesce(links.contributes_to, '[]'::json))::text AS node
    FROM ordered here
    JOIN objectives o ON o.org_id = $1 AND o.objective_id = here.objective_id
    LEFT JOIN parts ON parts.objective_id = here.objective_id
    LEFT JOIN links ON links.objective_id = here.objective_id
    LEFT JOIN teams t ON t.org_id = $1 AND o.owner_kind = 'team' AND t.team_id = o.owner_id
    LEFT JOIN directory d ON d.org_id = $1 AND o.owner_kind = 'person' AND d.person_id = o.owner_id
)
SELECT '{"roots":[' || coalesce(string_agg(
    CASE WHEN before >= depth THEN ',' ELSE '' END
    || left(node, -1) || ',"children":['
    || repeat(']}', greatest(0, depth - after + 1)), '' ORDER BY path), '') || ']}'
FROM nodes

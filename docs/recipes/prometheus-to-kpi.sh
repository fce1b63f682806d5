#!/bin/sh
# What a Prometheus query says now, as a reading of a KPI:
#
#     prometheus-to-kpi.sh 'sum(increase(orders_total[1d]))'
#
# PROMETHEUS, OKR_SERVER, OKR_KEY (scope check-ins:write), ORGANIZATION and KPI are in the environment.
# It takes curl and jq. It fails where the query has no single number for an answer.
set -eu

reading=$(
    curl --silent --show-error --fail --retry 3 --max-time 30 --get \
        --data-urlencode "query=$1" "$PROMETHEUS/api/v1/query" |
        jq --exit-status --compact-output --arg kpi "$KPI" '
            .data | if .resultType == "scalar" then .result
                    elif (.result | length) == 1 then .result[0].value
                    else error("the query has \(.result | length) series, and not one") end
            | {
                value: (.[1] | tonumber),
                occurred_at: (.[0] | floor | todate),
                external: {
                    source: "prometheus",
                    # Once a day, however often it runs.
                    external_id: "\($kpi) \(.[0] | floor | todate[:10])"
                }
              }
            | select(.value | isnormal or . == 0)'
)
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
status=$(
    curl --silent --show-error --retry 5 --max-time 30 \
        --header "Authorization: Bearer $OKR_KEY" \
        --header "Content-Type: application/json" \
        --data "$reading" --output "$answer" --write-out '%{http_code}' \
        "$OKR_SERVER/v1/organizations/$ORGANIZATION/kpis/$KPI/readings"
)
cat "$answer"
[ "$status" = 201 ] || grep --quiet '"/problems/already-exists"' "$answer"

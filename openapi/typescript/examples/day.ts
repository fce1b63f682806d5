/**
 * A frontend's day: everything that a screen of OKRs asks of the server.
 *
 *     npm ci && npm run build
 *     node dist/examples/day.js http://127.0.0.1:8000 okr_live_... ORGANIZATION_ID
 *
 * The key is a person's who is a member of a team; a cycle must be active.
 */
import {
  type Schemas,
  ProblemError,
  body,
  change,
  createClient,
  etag,
  items,
  pages,
  unchanged,
} from "../src/client.js";

const ORGANIZATION = "/v1/organizations/{organization_id}";

export async function day(baseUrl: string, key: string, organization_id: string): Promise<void> {
  const api = createClient({ baseUrl, key });
  const here = { organization_id };

  // Who am I, and where?
  const me = await body(api.GET(`${ORGANIZATION}/me`, { params: { path: here } }));
  const member = me.roles.find((one) => one.role === "member");
  const team = member?.reach.teams?.[0];
  if (!team) {
    throw new Error("The key is nobody's who is a member of a team.");
  }
  say(`I am ${me.actor}: ${me.roles.map((one) => one.role).join(", ")}.`);

  const cycles = await body(
    api.GET(`${ORGANIZATION}/cycles`, { params: { path: here, query: { phase: "active" } } }),
  );
  const cycle = cycles.items[0];
  if (!cycle) {
    throw new Error("No cycle is active.");
  }

  // The tree, and whether what is on the screen is still true.
  const inCycle = { path: { ...here, cycle_id: cycle.id } };
  const tree = await api.GET(`${ORGANIZATION}/cycles/{cycle_id}/tree`, { params: inCycle });
  const shown = await body(Promise.resolve(tree));
  say(`${cycle.name}: ${shown.summary.objectives} objectives.`);
  const readTreeAgain = () =>
    api.GET(`${ORGANIZATION}/cycles/{cycle_id}/tree`, {
      params: { ...inCycle, header: { "if-none-match": etag(tree.response) } },
    });
  say(`The tree is ${unchanged(await readTreeAgain()) ? "unchanged (304)" : "another"}.`);

  // Typing: the rules say what is missing, long before anything is recorded.
  const typed = [
    { title: "Improve onboarding", key_results: [{ title: "Hold ten workshops" }] },
    {
      title: "New customers feel at home within a week",
      why_now: "Half of those who left this summer never finished setting up.",
      key_results: [KEY_RESULT],
    },
  ];
  for (const draft of typed) {
    const told = await body(
      api.POST(`${ORGANIZATION}/drafts:validate`, {
        params: { path: here },
        body: { ...draft, cycle_id: cycle.id, owner: { kind: "team", id: team } },
      }),
    );
    say(`"${draft.title}": ${told.findings.length} findings.`);
    for (const finding of told.findings) {
      say(`  ${finding.pointer}: ${finding.message}`);
    }
  }

  // A form that does not fit is told field by field.
  try {
    await api.POST(`${ORGANIZATION}/objectives`, {
      params: { path: here },
      body: { title: "", cycle_id: cycle.id, owner: { kind: "team", id: team } },
    });
  } catch (error) {
    const problem = problemIn(error, "invalid");
    say(`Refused at ${problem.errors?.map((one) => one.pointer).join(", ")} (${problem.status}).`);
  }

  // Create it with its key results, and commit to it.
  const objective = await body(
    api.POST(`${ORGANIZATION}/objectives`, {
      params: { path: here },
      body: {
        title: "New customers feel at home within a week",
        why_now: "Half of those who left this summer never finished setting up.",
        cycle_id: cycle.id,
        owner: { kind: "team", id: team },
        key_results: [KEY_RESULT, { ...KEY_RESULT, title: "Guides finished from 120 to 200" }],
      },
    }),
  );
  const committed = await body(
    api.POST(`${ORGANIZATION}/objectives/{objective_id}:commit`, {
      params: { path: { ...here, objective_id: objective.id } },
    }),
  );
  say(`${committed.key_results.length} key results, ${committed.status}.`);
  say(`The tree is ${unchanged(await readTreeAgain()) ? "unchanged (304)" : "another"}.`);

  // Check in on what was read. Somebody else does so meanwhile.
  const keyResult = { ...here, key_result_id: objective.key_results[0]!.id };
  const read = () =>
    api.GET(`${ORGANIZATION}/key-results/{key_result_id}`, { params: { path: keyResult } });
  const checkIn = (said: Schemas["CheckInBody"], ifMatch: string) =>
    body(
      api.POST(`${ORGANIZATION}/key-results/{key_result_id}/check-ins`, {
        params: { path: keyResult, header: { "if-match": ifMatch } },
        body: said,
      }),
    );
  const mine = etag((await read()).response);
  await checkIn({ value: 140, note: "A colleague was faster." }, mine);
  try {
    await checkIn({ increment: 20 }, mine);
  } catch (error) {
    const problem = problemIn(error, "stale-version");
    say(`Conflict: ${problem.detail}`);
  }
  // Read again, look, decide, write: as often as it takes.
  const healed = await change(read, (current, ifMatch) => {
    say(`It stands at ${current.value} now.`);
    return checkIn({ increment: 20, confidence: 0.7, health: "on_track" }, ifMatch);
  });
  say(`Checked in: ${healed.value}.`);

  // Lists, page by page, and item by item.
  const list = (at: { page_token?: string }) =>
    api.GET(`${ORGANIZATION}/objectives`, {
      params: { path: here, query: { cycle_id: cycle.id, page_size: 2, ...at } },
    });
  let count = 0;
  for await (const page of pages(list)) {
    count += 1;
    say(`Page ${count}: ${page.map((one) => one.title).join("; ")}`);
  }
  let all = 0;
  for await (const one of items(list)) {
    all += one.status === "committed" ? 1 : 0;
  }
  say(`${all} committed objectives on ${count} pages.`);
}

const KEY_RESULT: Schemas["DraftKeyResultBody"] = {
  title: "Accounts set up within a week from 120 to 200",
  measure: { kind: "metric", unit: "accounts", baseline: 120, target: 200 },
};

/** The problem that was expected; anything else goes on its way. */
function problemIn(error: unknown, kind: string): ProblemError["problem"] {
  if (error instanceof ProblemError && error.kind === kind) {
    return error.problem;
  }
  throw error;
}

function say(line: string): void {
  console.log(line);
}

const [baseUrl, key, organization] = process.argv.slice(2);
if (!baseUrl || !key || !organization) {
  console.error("usage: day.js BASE_URL KEY ORGANIZATION_ID");
  process.exit(2);
}
await day(baseUrl, key, organization);

/**
 * A frontend's day: everything that a screen of OKRs asks of the server.
 *
 *     npm ci && npm run build
 *     node dist/examples/day.js http://127.0.0.1:8000 okr_live_... ORGANIZATION_ID
 *
 * The key is a person's who is a member of a team, and may read the history (`history:read`, which
 * an auditor or an admin may); a cycle must be active.
 */
import {
  type OkrClient,
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
import { type Following, follow, followChanges } from "../src/live.js";

const ORGANIZATION = "/v1/organizations/{organization_id}";

/** Where somebody works: what every screen needs. */
interface Desk {
  api: OkrClient;
  here: { organization_id: string };
  team: string;
  cycle: Schemas["CycleView"];
}

// The first screen ------------------------------------------------------------------------------

/** Who am I, where, and by which rules do we play? */
async function arrive(api: OkrClient, organization_id: string): Promise<Desk> {
  const here = { organization_id };
  const me = await body(api.GET(`${ORGANIZATION}/me`, { params: { path: here } }));
  const team = me.roles.find((one) => one.role === "member")?.reach.teams?.[0];
  if (!team) {
    throw new Error("The key is nobody's who is a member of a team.");
  }
  say(`I am ${me.actor}: ${me.roles.map((one) => one.role).join(", ")}.`);

  const deployment = await body(api.GET(`${ORGANIZATION}/deployment`, { params: { path: here } }));
  const limits = deployment.answers.find((one) => one.question === "limits");
  say(`${deployment.answered} of ${deployment.answers.length} decided. ${limits?.consequence}`);

  const cycles = await body(
    api.GET(`${ORGANIZATION}/cycles`, { params: { path: here, query: { phase: "active" } } }),
  );
  const cycle = cycles.items[0];
  if (!cycle) {
    throw new Error("No cycle is active.");
  }
  say(`${cycle.name} is ${cycle.phase}: ${cycle.next_step}`);
  return { api, here, team, cycle };
}

/** The tree: all of it, or just what a page draws; and whether what is on the screen still holds. */
async function look({ api, here, team, cycle }: Desk): Promise<() => Promise<void>> {
  const path = { ...here, cycle_id: cycle.id };
  const read = (query: { owner_id?: string; text?: string; fields?: string; sort?: "-progress" }, ifNoneMatch?: string) =>
    api.GET(`${ORGANIZATION}/cycles/{cycle_id}/tree`, {
      params: { path, query, header: ifNoneMatch ? { "if-none-match": ifNoneMatch } : {} },
    });

  const whole = await body(read({}));
  say(`The whole tree: ${whole.summary.objectives} objectives.`);

  // What a page of one team draws: its goals, best first, and of each three fields.
  const drawn = { owner_id: team, fields: "title,progress,health", sort: "-progress" } as const;
  const answer = await read(drawn);
  const page = await body(Promise.resolve(answer));
  say(`Of the team: ${page.roots.map((one) => one.title).join("; ")}.`);
  const found = await body(read({ text: "support", fields: "title" }));
  say(`Found by a word: ${found.roots.map((one) => one.title).join("; ")}.`);

  return async () => {
    const again = await read(drawn, etag(answer.response));
    say(`The tree is ${unchanged(again) ? "unchanged (304)" : "another"}.`);
  };
}

const THREE_WEEKS = 21 * 24 * 60 * 60 * 1_000;

/** My OKRs, my team's, and what waits for a check-in. */
async function mine({ api, here, team, cycle }: Desk): Promise<void> {
  const query = { cycle_id: cycle.id };
  const own = await body(api.GET(`${ORGANIZATION}/me/objectives`, { params: { path: here, query } }));
  say(`Mine: ${own.items.map((one) => `${one.title} (${one.because.join(", ")})`).join("; ")}.`);
  const ours = await body(
    api.GET(`${ORGANIZATION}/teams/{team_id}/objectives`, {
      params: { path: { ...here, team_id: team }, query: { ...query, sort: "title" } },
    }),
  );
  say(`Ours: ${ours.items.map((one) => one.title).join("; ")}.`);
  const until = new Date(Date.now() + THREE_WEEKS).toISOString().slice(0, 10);
  const due = await body(
    api.GET(`${ORGANIZATION}/me/check-ins-due`, { params: { path: here, query: { until } } }),
  );
  say(`${due.items.length} check-ins are due within three weeks.`);
}

// Writing a goal --------------------------------------------------------------------------------

/** Typing: the rules say what is missing, long before anything is recorded. */
async function type({ api, here, team, cycle }: Desk): Promise<void> {
  const validate = latest((draft: Typed, signal) =>
    body(
      api.POST(`${ORGANIZATION}/drafts:validate`, {
        params: { path: here },
        body: { ...draft, cycle_id: cycle.id, owner: { kind: "team", id: team } },
        signal,
      }),
    ),
  );
  const typed: Typed[] = [
    { title: "Improve" },
    { title: "Improve onboarding" },
    { title: "Improve onboarding", key_results: [{ title: "Hold ten workshops" }] },
  ];
  // Each is asked for as the next one is typed already.
  const told = await Promise.all(typed.map(validate));
  say(`${told.filter((one) => one === undefined).length} were typed over.`);
  show(told.at(-1)?.findings ?? []);
  show((await validate(GOAL))?.findings ?? []);
}

type Typed = Pick<Schemas["ValidateDraftBody"], "title" | "why_now" | "key_results">;

/** Only the latest answer matters: what was asked before it is given up, and is `undefined`. */
function latest<A, T>(ask: (given: A, signal: AbortSignal) => Promise<T>): (given: A) => Promise<T | undefined> {
  let current = new AbortController();
  return async (given) => {
    current.abort();
    const own = (current = new AbortController());
    try {
      return await ask(given, own.signal);
    } catch (error) {
      if (own.signal.aborted) {
        return undefined;
      }
      throw error;
    }
  };
}

function show(findings: { pointer: string; message: string }[]): void {
  say(`${findings.length} findings.`);
  for (const finding of findings) {
    say(`  ${finding.pointer}: ${finding.message}`);
  }
}

/** Create it with its key results, and commit to it. */
async function commit({ api, here, team, cycle }: Desk): Promise<Schemas["ObjectiveView"]> {
  const owned = { cycle_id: cycle.id, owner: { kind: "team", id: team } } as const;
  // A form that does not fit is told field by field.
  try {
    await api.POST(`${ORGANIZATION}/objectives`, { params: { path: here }, body: { title: "", ...owned } });
  } catch (error) {
    const problem = problemIn(error, "invalid");
    say(`Refused at ${problem.errors?.map((one) => one.pointer).join(", ")} (${problem.status}).`);
  }
  const objective = await body(
    api.POST(`${ORGANIZATION}/objectives`, { params: { path: here }, body: { ...GOAL, ...owned } }),
  );
  const committed = await body(
    api.POST(`${ORGANIZATION}/objectives/{objective_id}:commit`, {
      params: { path: { ...here, objective_id: objective.id } },
    }),
  );
  say(`${committed.key_results.length} key results, ${committed.status}.`);
  return committed;
}

const GOAL = {
  title: "New customers feel at home within a week",
  why_now: "Half of those who left this summer never finished setting up.",
  key_results: [
    {
      title: "Accounts set up within a week from 120 to 200",
      measure: { kind: "metric", unit: "accounts", baseline: 120, target: 200 },
    },
    {
      title: "Guides finished from 120 to 200",
      measure: { kind: "metric", unit: "guides", baseline: 120, target: 200 },
    },
  ] satisfies Schemas["DraftKeyResultBody"][],
};

// Checking in -----------------------------------------------------------------------------------

/** Check in on what was read: somebody else may do so meanwhile, and an answer may be lost. */
async function checkIn(desk: Desk, id: string): Promise<void> {
  const { api, here } = desk;
  const keyResult = { ...here, key_result_id: id };
  const read = () =>
    api.GET(`${ORGANIZATION}/key-results/{key_result_id}`, { params: { path: keyResult } });
  const record = (said: Schemas["CheckInBody"], header: { "if-match": string; "Idempotency-Key"?: string }) =>
    body(
      api.POST(`${ORGANIZATION}/key-results/{key_result_id}/check-ins`, {
        params: { path: keyResult, header },
        body: said,
      }),
    );

  // The client makes an Idempotency-Key for each write. A form that keeps its own may be sent again
  // after a reload: the same answer comes, and nothing happens twice.
  const mine = etag((await read()).response);
  const once = { "if-match": mine, "Idempotency-Key": crypto.randomUUID() };
  const first = await record({ value: 140, note: "A colleague was faster." }, once);
  const again = await record({ value: 140, note: "A colleague was faster." }, once);
  say(`Sent twice: ${first.id === again.id ? "one check-in" : "two check-ins"}.`);

  // What was read before is stale by now.
  try {
    await record({ increment: 20 }, { "if-match": mine });
  } catch (error) {
    say(`Conflict: ${problemIn(error, "stale-version").detail}`);
  }
  // Read again, look, decide, write: as often as it takes.
  const healed = await change(read, (current, ifMatch) => {
    say(`It stands at ${current.value} now.`);
    return record({ increment: 20, confidence: 0.7, health: "on_track" }, { "if-match": ifMatch });
  });
  say(`Checked in: ${healed.value}.`);
}

/** Ready to plot: what was reached, the ideal line, and where the average pace leads. */
async function plot({ api, here }: Desk, id: string): Promise<void> {
  const series = await body(
    api.GET(`${ORGANIZATION}/key-results/{key_result_id}/series`, {
      params: { path: { ...here, key_result_id: id } },
    }),
  );
  const line = series.points.map((one) => ({ x: Date.parse(one.at), y: one.progress }));
  const ideal = series.ideal.map((one) => ({ x: Date.parse(one.at), y: one.progress }));
  say(`To plot: ${line.map((one) => one.y).join(", ")} beside ${ideal.map((one) => one.y).join(" to ")}.`);
}

/** Lists, page by page, and item by item. */
async function list({ api, here, cycle }: Desk): Promise<void> {
  const ask = (at: { page_token?: string }) =>
    api.GET(`${ORGANIZATION}/objectives`, {
      params: { path: here, query: { cycle_id: cycle.id, page_size: 2, ...at } },
    });
  let count = 0;
  for await (const page of pages(ask)) {
    count += 1;
    say(`Page ${count}: ${page.map((one) => one.title).join("; ")}`);
  }
  let all = 0;
  for await (const one of items(ask)) {
    all += one.status === "committed" ? 1 : 0;
  }
  say(`${all} committed objectives on ${count} pages.`);
}

// Live ------------------------------------------------------------------------------------------

/** What anybody does appears on the screen: each event once, though the connection is cut. */
async function live({ api, here }: Desk, id: string, server: Pick<Following, "baseUrl" | "key">): Promise<void> {
  const keyResult = { params: { path: { ...here, key_result_id: id } } };
  const shown = await api.GET(`${ORGANIZATION}/key-results/{key_result_id}`, keyResult);
  const after = ledgerPosition(shown.response);
  const following = { ...server, organizationId: here.organization_id, after };

  let last = after;
  const writing = (async () => {
    for (const value of [165, 170, 175, 180, 185, 190]) {
      const { response } = await api.POST(`${ORGANIZATION}/key-results/{key_result_id}/check-ins`, {
        ...keyResult,
        body: { value },
      });
      last = ledgerPosition(response);
    }
  })();
  const hear = async (feed: typeof follow | typeof followChanges, show: (line: string) => void) => {
    const stop = new AbortController();
    const told: number[] = [];
    for await (const event of feed({ ...following, signal: stop.signal })) {
      told.push(event.position);
      show(`Live: ${event.type} at ${event.position}.`);
      if (event.position >= after + 6) {
        stop.abort();
      }
    }
    return told;
  };
  // With what was said, for whoever may read the history; and without, for a page of anybody's.
  const [events, changes] = await Promise.all([hear(follow, say), hear(followChanges, () => {}), writing]);

  // Positions have no gaps: a client can see for itself that it missed nothing.
  const expected = Array.from({ length: last - after }, (_, n) => after + n + 1).join();
  say(`Every event once: ${events.join() === expected && changes.join() === expected ? "yes" : "no"}.`);
}

/** Where the ledger stood: what is on the screen goes on from there. */
function ledgerPosition(response: Response): number {
  return Number(response.headers.get("Ledger-Position"));
}

// The day ---------------------------------------------------------------------------------------

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

export async function day(baseUrl: string, key: string, organization: string): Promise<void> {
  const desk = await arrive(createClient({ baseUrl, key }), organization);
  const lookAgain = await look(desk);
  await lookAgain();
  await mine(desk);
  await type(desk);
  const [keyResult] = (await commit(desk)).key_results;
  await lookAgain();
  await checkIn(desk, keyResult!.id);
  await plot(desk, keyResult!.id);
  await list(desk);
  await live(desk, keyResult!.id, { baseUrl, key });
}

const [baseUrl, key, organization] = process.argv.slice(2);
if (!baseUrl || !key || !organization) {
  console.error("usage: day.js BASE_URL KEY ORGANIZATION_ID");
  process.exit(2);
}
await day(baseUrl, key, organization);

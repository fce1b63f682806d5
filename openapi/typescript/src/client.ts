/**
 * A typed client: the paths, parameters and bodies of `schema.d.ts`, which is made from the
 * OpenAPI document, and what every caller would otherwise write for themselves.
 *
 * Problems are thrown, as `ProblemError`; a write carries an Idempotency-Key, so that it is safely
 * sent again where the server is busy.
 */
import createFetchClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Schemas = components["schemas"];
/** Of what lists answer, the JSON: they are there as CSV, too. */
export type OkrClient = Client<paths, "application/json">;

/** RFC 9457. Further members depend on the type: `current_version` of `stale-version`, say. */
export type Problem = Schemas["Problem"] & { readonly [member: string]: unknown };

/** What the server refused, or could not do. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(
    readonly problem: Problem,
    readonly response: Response,
  ) {
    super(`${problem.title}: ${problem.detail}`);
  }

  /** What the type stands for, such as `stale-version`: the stable name to decide by. */
  get kind(): string {
    return this.problem.type.replace(/^.*\/problems\//, "");
  }
}

export interface Options {
  /** Where the server is, such as `https://okr.example.org`. */
  baseUrl: string;
  /** An API key, or a token of the OpenID Connect provider. */
  key: string;
  /** How often a request is sent again after 429 or 503; 3, unless told. */
  retries?: number;
  /** Instead of the platform's own. */
  fetch?: (request: Request) => Promise<Response>;
}

/** A client for one key. */
export function createClient({ baseUrl, key, retries = 3, fetch = globalThis.fetch }: Options): OkrClient {
  const client = createFetchClient<paths, "application/json">({ baseUrl, fetch: patient(fetch, retries) });
  client.use(authorized(key), refusing);
  return client;
}

function authorized(key: string): Middleware {
  return {
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${key}`);
      if (request.method !== "GET" && !request.headers.has("Idempotency-Key")) {
        request.headers.set("Idempotency-Key", crypto.randomUUID());
      }
      return request;
    },
  };
}

const refusing: Middleware = {
  async onResponse({ response }) {
    if (response.status >= 400) {
      throw new ProblemError(await problemOf(response.clone()), response);
    }
  },
};

/** What a proxy answers in the server's place is no problem document; it is told as one. */
export async function problemOf(response: Response): Promise<Problem> {
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return (await response.json()) as Problem;
  }
  return {
    type: "about:blank",
    title: response.statusText || `Status ${response.status}`,
    status: response.status,
    detail: (await response.text()).slice(0, 1_000),
  };
}

/** Sends again, with the same Idempotency-Key, what the server was too busy for. */
function patient(
  fetch: (request: Request) => Promise<Response>,
  retries: number,
): (request: Request) => Promise<Response> {
  return async (request) => {
    for (let left = retries; ; left -= 1) {
      const response = await fetch(request.clone());
      if (left <= 0 || (response.status !== 429 && response.status !== 503)) {
        return response;
      }
      await response.body?.cancel();
      const seconds = Number(response.headers.get("Retry-After") ?? 1);
      // Chance, so that many who were sent away do not come back all at once.
      await pause((Number.isFinite(seconds) ? seconds : 1) * 1_000 * (1 + Math.random() / 4));
    }
  };
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** What a request answered: with `data`, unless it was 304. */
export interface Answer<T> {
  data?: T;
  response: Response;
}

/** The body of an answer. Throws where there is none. */
export async function body<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, response } = await answer;
  if (data === undefined) {
    throw new Error(`${response.url} answered ${response.status} without a body`);
  }
  return data;
}

/** The ETag of an answer: what `if-match` and `if-none-match` take. Throws where there is none. */
export function etag(response: Response): string {
  const tag = response.headers.get("ETag");
  if (tag === null) {
    throw new Error(`${response.url} has no ETag`);
  }
  return tag;
}

/** Whether what the client has is still what there is: the answer to `if-none-match`. */
export function unchanged({ response }: Answer<unknown>): boolean {
  return response.status === 304;
}

/**
 * Changes what was read, and begins anew from what is there now if somebody was faster.
 *
 * `change` is given what was read, and its ETag for `if-match`. It may decide anew each time, or
 * throw to give up. After `attempts` the problem `stale-version` is thrown.
 */
export async function change<T, R>(
  read: () => Promise<Answer<T>>,
  write: (current: T, ifMatch: string) => Promise<R>,
  attempts = 3,
): Promise<R> {
  for (let left = attempts - 1; ; left -= 1) {
    const answer = await read();
    const current = await body(Promise.resolve(answer));
    try {
      return await write(current, etag(answer.response));
    } catch (error) {
      if (left <= 0 || !(error instanceof ProblemError) || error.kind !== "stale-version") {
        throw error;
      }
    }
  }
}

/** A page of a list. */
export interface Page<T> {
  items: T[];
  next_page_token?: string | null;
}

/**
 * All pages of a list, one request each, as they are asked for.
 *
 * `ask` is given what leads to the page: nothing for the first, then `{ page_token }`.
 */
export async function* pages<T>(
  ask: (at: { page_token?: string }) => Promise<Answer<Page<T>>>,
): AsyncGenerator<T[], void, undefined> {
  let token: string | null | undefined;
  do {
    const page = await body(ask(token ? { page_token: token } : {}));
    yield page.items;
    token = page.next_page_token;
  } while (token);
}

/** All items of a list, page by page. */
export async function* items<T>(
  ask: (at: { page_token?: string }) => Promise<Answer<Page<T>>>,
): AsyncGenerator<T, void, undefined> {
  for await (const page of pages(ask)) {
    yield* page;
  }
}

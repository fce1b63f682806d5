/**
 * What happens, live: every event once and in order, whatever cuts the connection in between.
 *
 * The browser's own `EventSource` sends no Authorization header, so this is built on `fetch`.
 */
import { type Schemas, ProblemError, pause, problemOf } from "./client.js";

export type LedgerEvent = Schemas["EventView"];

/** That something happened, and to what; nothing of what was said. */
export type Change = Pick<LedgerEvent, "position" | "type" | "stream" | "cycle_id" | "recorded_at">;

export interface Following {
  baseUrl: string;
  key: string;
  organizationId: string;
  /** The `Ledger-Position` of what is on the screen: events after it are told. */
  after: number;
  /** Only events of these types, such as `check_in.recorded`. */
  types?: string[];
  /** Ends it. */
  signal?: AbortSignal;
}

/** The server says at least every 15 seconds that it is there; a dead network never does. */
const SILENT_MILLISECONDS = 45_000;
const AGAIN_MILLISECONDS = 1_000;

/**
 * What changes, for whoever has the scope `read`: enough to know what to read again. Like `follow`.
 */
export function followChanges(asked: Following): AsyncGenerator<Change, void, undefined> {
  return told<Change>("changes", asked);
}

/**
 * Events as they are recorded, for as long as they are wanted; it takes the scope `history:read`. It
 * connects again by itself, with the last position as Last-Event-ID. Throws `ProblemError` where the
 * key may not follow (any more).
 */
export function follow(asked: Following): AsyncGenerator<LedgerEvent, void, undefined> {
  return told<LedgerEvent>("events", asked);
}

async function* told<T extends Change>(feed: string, asked: Following): AsyncGenerator<T, void, undefined> {
  let last = asked.after;
  while (!asked.signal?.aborted) {
    try {
      for await (const event of connection<T>(feed, asked, last)) {
        last = event.position;
        yield event;
      }
    } catch (error) {
      const isRefused = error instanceof ProblemError;
      if (isRefused && error.problem.status !== 429 && error.problem.status !== 503) {
        throw error;
      }
    }
    if (!asked.signal?.aborted) {
      await pause(AGAIN_MILLISECONDS);
    }
  }
}

/** The events of one connection. What was cut in the middle of an event is no event. */
async function* connection<T>(feed: string, asked: Following, last: number): AsyncGenerator<T, void, undefined> {
  const ended = new AbortController();
  const end = () => ended.abort();
  asked.signal?.addEventListener("abort", end);
  let watch = setTimeout(end, SILENT_MILLISECONDS);
  try {
    const address = new URL(`/v1/organizations/${asked.organizationId}/${feed}/stream`, asked.baseUrl);
    for (const type of asked.types ?? []) {
      address.searchParams.append("type", type);
    }
    const response = await fetch(address, {
      headers: { Authorization: `Bearer ${asked.key}`, "Last-Event-ID": String(last) },
      signal: ended.signal,
    });
    if (!response.ok || !response.body) {
      throw new ProblemError(await problemOf(response), response);
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      clearTimeout(watch);
      watch = setTimeout(end, SILENT_MILLISECONDS);
      text += decoder.decode(value, { stream: true });
      const messages = text.split("\n\n");
      text = messages.pop() ?? "";
      for (const message of messages) {
        // Other messages are signs of life.
        const data = message.split("\n").find((line) => line.startsWith("data: "));
        if (data) {
          yield JSON.parse(data.slice("data: ".length)) as T;
        }
      }
    }
  } finally {
    clearTimeout(watch);
    asked.signal?.removeEventListener("abort", end);
    ended.abort();
  }
}

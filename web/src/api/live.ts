import { authorized, id } from './client'
import { Problem } from './problem'
import type { EffectId, Entry, Execution } from './schema'
import { type Message, Reader } from './sse'

const retryFirst_ms = 500
const retryMost_ms = 8_000
/** The server sends a comment each 15 s; twice that in silence is a lost line. */
const silence_ms = 35_000

/** States a run ends in. */
export const finished: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'compensated', 'timed_out'])

export type Line = { state: 'live' } | { state: 'lost'; since: number } | { state: 'closed' }

/** A part of what a model is saying; what counts is the entry that records the whole. */
export interface ReplyChunk {
  effect: EffectId
  text?: string
  /** What was said before is void: another model begins anew. */
  reset?: boolean
}

export interface RunFollower {
  entry(entry: Entry): void
  spoken?(part: ReplyChunk): void
  state(execution: Execution): void
  line(line: Line): void
}

/** Follows a run from after `seq` until it is stopped; a broken line is taken up again where it broke. */
export function follow(run: string, seq: number, follower: RunFollower, fetcher: typeof fetch = fetch): () => void {
  let last = seq
  return listen(
    `executions/${id(run)}/events`,
    {
      last: () => String(last),
      hear(message) {
        if (message.event === 'entry') {
          const entry = JSON.parse(message.data) as Entry
          // After a break the server may say again what was heard.
          if (entry.seq <= last) return false
          last = entry.seq
          follower.entry(entry)
        } else if (message.event === 'model') {
          follower.spoken?.(JSON.parse(message.data) as ReplyChunk)
        } else if (message.event === 'state') {
          const now = JSON.parse(message.data) as Execution
          follower.state(now)
          // After its end a run's line is closed by the server; there is nothing to take up.
          return finished.has(now.state)
        }
        return false
      },
      line: (line) => follower.line(line),
    },
    fetcher,
  )
}

export interface Listener {
  /** Where to go on after a break; nothing: from now on. */
  last?(): string | null
  /** Whether this was the last that will be said. */
  hear(message: Message): boolean
  line(line: Line): void
}

/** Listens to one of the API's lines of events until it is stopped. A refusal ends it; a break does not. */
export function listen(path: string, listener: Listener, fetcher: typeof fetch = fetch): () => void {
  const stop = new AbortController()
  let heard = Date.now()
  let over = false

  async function once(): Promise<'ended' | 'refused'> {
    const cut = new AbortController()
    const end = () => cut.abort()
    stop.signal.addEventListener('abort', end)
    let quiet = setTimeout(end, silence_ms)
    try {
      const last = listener.last?.()
      const response = await fetcher(`/api/v1/${path}`, {
        headers: authorized({ accept: 'text/event-stream', ...(last ? { 'last-event-id': last } : {}) }),
        signal: cut.signal,
      })
      if (!response.ok || !response.body) {
        const problem = await Problem.of(response)
        return problem.status >= 400 && problem.status < 500 && problem.status !== 429 ? 'refused' : 'ended'
      }
      listener.line({ state: 'live' })
      const reader = new Reader()
      const text = response.body
        .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
        .getReader()
      for (;;) {
        const { value, done } = await text.read()
        if (done) return 'ended'
        heard = Date.now()
        clearTimeout(quiet)
        quiet = setTimeout(end, silence_ms)
        for (const message of reader.push(value)) over = listener.hear(message)
      }
    } finally {
      clearTimeout(quiet)
      stop.signal.removeEventListener('abort', end)
    }
  }

  async function loop(): Promise<void> {
    let wait = retryFirst_ms
    while (!stop.signal.aborted) {
      const began = Date.now()
      const how = await once().catch(() => 'ended' as const)
      if (stop.signal.aborted) return
      if (how === 'refused' || over) return listener.line({ state: 'closed' })
      listener.line({ state: 'lost', since: heard })
      wait = Date.now() - began > 10_000 ? retryFirst_ms : Math.min(wait * 2, retryMost_ms)
      await new Promise((go) => setTimeout(go, wait))
    }
  }
  void loop()
  return () => stop.abort()
}

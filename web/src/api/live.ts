import { authorized, id } from './client'
import { Problem } from './problem'
import type { EffectId, Entry, Execution } from './schema'
import { type Message, Reader } from './sse'

const retryFirst_ms = 500
const retryMost_ms = 8_000
/** The server sends a comment each 15 s; after twice that without data the stream counts as lost. */
const silence_ms = 35_000

/** Final states of a run. */
export const finished: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'compensated', 'timed_out'])

export type Line = { state: 'live' } | { state: 'lost'; since: number } | { state: 'closed' }

/** A chunk of a model's reply. The journal entry that records the whole reply is authoritative. */
export interface ReplyChunk {
  effect: EffectId
  text?: string
  /** Discards the earlier chunks: another model starts over. */
  reset?: boolean
}

export interface RunFollower {
  entry(entry: Entry): void
  reply?(chunk: ReplyChunk): void
  state(execution: Execution): void
  line(line: Line): void
}

/** Follows a run's events after `seq` until stopped; reconnects and resumes after a disconnect. */
export function follow(run: string, seq: number, follower: RunFollower, fetcher: typeof fetch = fetch): () => void {
  let last = seq
  return listen(
    `executions/${id(run)}/events`,
    {
      last: () => String(last),
      onMessage(message) {
        if (message.event === 'entry') {
          const entry = JSON.parse(message.data) as Entry
          // After a reconnect the server may repeat entries.
          if (entry.seq <= last) return false
          last = entry.seq
          follower.entry(entry)
        } else if (message.event === 'model') {
          follower.reply?.(JSON.parse(message.data) as ReplyChunk)
        } else if (message.event === 'state') {
          const now = JSON.parse(message.data) as Execution
          follower.state(now)
          // The server closes the stream when the run ends: do not reconnect.
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
  /** The event id to resume after; none: only new events. */
  last?(): string | null
  /** Returns whether this was the last event. */
  onMessage(message: Message): boolean
  line(line: Line): void
}

/** Subscribes to an event stream of the API until stopped. Reconnects after a disconnect, not after a refusal. */
export function listen(path: string, listener: Listener, fetcher: typeof fetch = fetch): () => void {
  const stop = new AbortController()
  let lastReceived = Date.now()
  let isLast = false

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
        lastReceived = Date.now()
        clearTimeout(quiet)
        quiet = setTimeout(end, silence_ms)
        for (const message of reader.push(value)) isLast = listener.onMessage(message)
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
      if (how === 'refused' || isLast) return listener.line({ state: 'closed' })
      listener.line({ state: 'lost', since: lastReceived })
      wait = Date.now() - began > 10_000 ? retryFirst_ms : Math.min(wait * 2, retryMost_ms)
      await new Promise((go) => setTimeout(go, wait))
    }
  }
  void loop()
  return () => stop.abort()
}

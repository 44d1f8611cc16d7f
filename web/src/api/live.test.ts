import { expect, test, vi } from 'vitest'
import { follow, type Line, type ReplyChunk } from './live'
import type { Entry } from './schema'

const entry = (seq: number) =>
  `id: ${seq}\nevent: entry\ndata: ${JSON.stringify({ seq, at: '2026-11-22T10:00:00Z', events: [] })}\n\n`
const body = (...pieces: string[]) =>
  new ReadableStream<Uint8Array>({
    start(to) {
      for (const piece of pieces) to.enqueue(new TextEncoder().encode(piece))
      to.close()
    },
  })

test('a stream resumes after a disconnect, and repeated entries are ignored', async () => {
  const requests: string[] = []
  const answers = [
    () => new Response(body(entry(4), entry(5).slice(0, 20), entry(5).slice(20))),
    () => Promise.reject(new Error('gone')),
    () => new Response(body(entry(5), entry(6), 'event: state\ndata: {"state":"completed"}\n\n')),
  ]
  const received: number[] = []
  const lines: Line['state'][] = []
  await new Promise<void>((done) => {
    const stop = follow(
      'run',
      3,
      {
        entry: (one: Entry) => received.push(one.seq),
        state() {
          stop()
          done()
        },
        line: (line) => lines.push(line.state),
      },
      (async (_url: string, init: RequestInit) => {
        requests.push(new Headers(init.headers).get('last-event-id') ?? '')
        return (answers.shift() ?? (() => new Response(body())))()
      }) as typeof fetch,
    )
  })
  expect(received).toEqual([4, 5, 6])
  expect(requests).toEqual(['3', '5', '5'])
  expect(lines).toEqual(['live', 'lost', 'lost', 'live'])
}, 10_000)

test('reply chunks carry their call, and are not entries', async () => {
  const part = (data: object) => `event: model\ndata: ${JSON.stringify(data)}\n\n`
  const effect = { node: 'ask', call: 0 }
  const chunks: ReplyChunk[] = []
  const entries: Entry[] = []
  await new Promise<void>((done) => {
    follow(
      'run',
      0,
      { entry: (one) => entries.push(one), reply: (one) => chunks.push(one), state: () => done(), line() {} },
      (async () =>
        new Response(
          body(
            part({ effect, text: 'Hel' }),
            part({ effect, reset: true }),
            entry(1),
            'event: state\ndata: {"state":"completed"}\n\n',
          ),
        )) as typeof fetch,
    )
  })
  expect(chunks).toEqual([
    { effect, text: 'Hel' },
    { effect, reset: true },
  ])
  expect(entries).toHaveLength(1)
})

test('a rejected key closes the stream without reconnecting', async () => {
  const fetcher = vi.fn(async () => new Response('{}', { status: 401 }))
  const line = await new Promise<Line>((done) => {
    follow('run', 0, { entry() {}, state() {}, line: done }, fetcher as unknown as typeof fetch)
  })
  expect(line).toEqual({ state: 'closed' })
  expect(fetcher).toHaveBeenCalledTimes(1)
})

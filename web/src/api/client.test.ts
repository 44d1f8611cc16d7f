import { afterEach, expect, test, vi } from 'vitest'
import { ask, carryKey, id, query } from './client'
import { Problem } from './problem'

afterEach(() => vi.unstubAllGlobals())
const answer = (status: number, body: unknown) =>
  vi.stubGlobal(
    'fetch',
    vi.fn(async () => new Response(JSON.stringify(body), { status })),
  )

test('every request carries the key, and a rejected key is reported once', async () => {
  const refused = vi.fn()
  carryKey('k_1', refused)
  answer(401, { code: 'API-001', detail: 'a key is needed' })
  await expect(ask('me')).rejects.toThrow('a key is needed')
  expect(refused).toHaveBeenCalledOnce()
  expect(vi.mocked(fetch).mock.calls[0]?.[1]?.headers).toMatchObject({ authorization: 'Bearer k_1' })
})

test('a problem keeps its code, its hint and its run', async () => {
  answer(409, { code: 'RUN-007', detail: 'already approved', hint: 'somebody else must', execution_id: 'r1' })
  const problem = await ask('x', { body: {} }).catch((error: unknown) => error)
  expect(problem).toMatchObject({ status: 409, code: 'RUN-007', hint: 'somebody else must', run: 'r1', conflict: true })
})

test('an error without a problem document is still reported', async () => {
  vi.stubGlobal('fetch', async () => new Response('<html>', { status: 502, statusText: 'Bad Gateway' }))
  expect(await ask('x').catch((error) => error)).toMatchObject({ code: 'HTTP 502', detail: 'Bad Gateway' })
})

test('no response is a problem of its own', async () => {
  vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('failed')))
  const problem = await ask('x').catch((error: unknown) => error)
  expect(problem).toBeInstanceOf(Problem)
  expect(problem).toMatchObject({ code: 'UNREACHABLE' })
})

test('an id is one path segment, and an empty filter is omitted', () => {
  expect(id('run/node/0')).toBe('run%2Fnode%2F0')
  expect(query({ state: '', limit: 50, cursor: null, workflow_id: 'a b' })).toBe('?limit=50&workflow_id=a+b')
})

import { Problem } from './problem'

const base = '/api/v1/'
let key: string | null = null
let refused: () => void = () => {}

/** Sets the key sent with every request; `onRefused` is called when the server rejects it. */
export function carryKey(next: string | null, onRefused: () => void = () => {}): void {
  key = next
  refused = onRefused
}

export function authorized(more: Record<string, string> = {}): Record<string, string> {
  return key ? { ...more, authorization: `Bearer ${key}` } : more
}

export interface Ask {
  method?: 'GET' | 'POST' | 'PUT'
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal | undefined
}

export async function ask<T>(path: string, { method, body, headers = {}, signal }: Ask = {}): Promise<T> {
  const posting = body !== undefined || method === 'POST'
  const response = await fetch(base + path, {
    method: method ?? (posting ? 'POST' : 'GET'),
    headers: authorized({
      accept: 'application/json',
      ...(posting ? { 'content-type': 'application/json' } : {}),
      ...headers,
    }),
    body: posting ? JSON.stringify(body ?? {}) : null,
    signal: signal ?? null,
  }).catch((error) => {
    throw signal?.aborted ? error : Problem.unreachable()
  })
  if (response.ok) return response.status === 204 ? (undefined as T) : response.json()
  const problem = await Problem.of(response)
  if (problem.refusedKey) refused()
  throw problem
}

/** Encodes an id as one path segment: `/` and `?` are part of the id. */
export const id = (text: string): string => encodeURIComponent(text)

export function query(values: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(values))
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value))
  const text = search.toString()
  return text ? `?${text}` : ''
}

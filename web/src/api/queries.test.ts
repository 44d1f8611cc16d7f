import { expect, test } from 'vitest'
import { callKey } from '../graph/timeline'
import { dropRecorded } from './queries'
import type { EffectId, Event } from './schema'

const ask: EffectId = { node: 'ask', call: 0 }
const other: EffectId = { node: 'other', call: 0 }
const replies = new Map([
  [callKey(ask), 'Hello'],
  [callKey(other), 'Wait'],
])
const entry = (...events: Event[]) => ({ seq: 7, at: '2026-11-22T10:00:00Z', events })

test('an entry drops the partial reply of its call only', () => {
  for (const kind of ['done', 'not_done', 'scheduled', 'hold_lost'])
    expect([...dropRecorded(replies, entry({ [kind]: { effect: { ...ask, gen: 1 } } }))], kind).toEqual([
      [callKey(other), 'Wait'],
    ])
  expect(dropRecorded(replies, entry({ done: { effect: ask } }, { done: { effect: other } })).size).toBe(0)
})

test('an undo call is a different call', () => {
  expect(dropRecorded(replies, entry({ done: { effect: { ...ask, role: 'undo' } } }))).toBe(replies)
})

test('other entries keep the same map, so that nothing renders again', () => {
  expect(
    dropRecorded(replies, entry('resumed', { ended: { node: 'ask' } }, { done: { effect: { node: 'third' } } })),
  ).toBe(replies)
  const silent = new Map<string, string>()
  expect(dropRecorded(silent, entry({ done: { effect: ask } }))).toBe(silent)
})

import { expect, test } from 'vitest'
import recorded from '../../test/fixtures/recorded.json'
import type { DeskItem, Entry, Execution } from '../api/schema'
import { foldJournal } from './timeline'
import { questionOf, waitsOf } from './waits'

const resting = recorded.runs.flatMap((run) =>
  run.phases
    .filter((phase) => phase.desk.length > 0)
    .map((phase) => ({
      run: phase.show as unknown as Execution,
      story: foldJournal(run.journal.filter((entry) => entry.seq <= phase.upto) as unknown as Entry[]),
      desk: phase.desk as unknown as DeskItem[],
    })),
)

test('the run and the desk tell of the same questions, whatever their ids', () => {
  expect(resting.length).toBeGreaterThan(3)
  for (const { run, story, desk } of resting) {
    const told = waitsOf(run, story)
    // A list leaves out who has said yes.
    const given = told.map((item) => item.approved_by ?? [])
    expect(desk.map((item, i) => questionOf({ ...item, approved_by: item.approved_by ?? given[i] ?? [] }))).toEqual(
      told.map(questionOf),
    )
  }
})

test('another question, another call and another yes are not the same', () => {
  const item = { run: 'r', kind: 'tool_approval', details: { effect: { node: 'a', call: 1 } } } as DeskItem
  const others = [
    { ...item, run: 's' },
    { ...item, kind: 'doubt' as const },
    { ...item, details: { effect: { node: 'a', call: 2 } } },
    { ...item, details: { effect: { node: 'a', call: 1, gen: 1 } } },
    { ...item, approved_by: ['olga'] },
  ]
  expect(new Set([item, ...others].map(questionOf)).size).toBe(6)
})

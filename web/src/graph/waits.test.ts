import { expect, test } from 'vitest'
import recorded from '../../test/fixtures/recorded.json'
import type { Entry, Execution, TaskItem } from '../api/schema'
import { foldJournal } from './timeline'
import { questionOf, waitsOf } from './waits'

const resting = recorded.runs.flatMap((run) =>
  run.phases
    .filter((phase) => phase.desk.length > 0)
    .map((phase) => ({
      run: phase.show as unknown as Execution,
      timeline: foldJournal(run.journal.filter((entry) => entry.seq <= phase.upto) as unknown as Entry[]),
      desk: phase.desk as unknown as TaskItem[],
    })),
)

test('the run and the task inbox agree on the open tasks, whatever their ids', () => {
  expect(resting.length).toBeGreaterThan(3)
  for (const { run, timeline, desk: tasks } of resting) {
    const fromRun = waitsOf(run, timeline)
    // Lists omit `approved_by`.
    const given = fromRun.map((item) => item.approved_by ?? [])
    expect(tasks.map((item, i) => questionOf({ ...item, approved_by: item.approved_by ?? given[i] ?? [] }))).toEqual(
      fromRun.map(questionOf),
    )
  }
})

test('the task identity differs by question, call and approval', () => {
  const item = { run: 'r', kind: 'tool_approval', details: { effect: { node: 'a', call: 1 } } } as TaskItem
  const others = [
    { ...item, run: 's' },
    { ...item, kind: 'doubt' as const },
    { ...item, details: { effect: { node: 'a', call: 2 } } },
    { ...item, details: { effect: { node: 'a', call: 1, gen: 1 } } },
    { ...item, approved_by: ['olga'] },
  ]
  expect(new Set([item, ...others].map(questionOf)).size).toBe(6)
})

import { expect, test } from 'vitest'
import recorded from '../../test/fixtures/recorded.json'
import type { DrawnGraph, Entry, Execution, Graph } from '../api/schema'
import { axis } from './axis'
import { layout } from './layout'
import { runGraph } from './run-graph'
import { splitTime, workedTime } from './time-split'
import { foldJournal, spans } from './timeline'
import { waitsOf } from './waits'

const run = (workflow: string, state: string) => {
  const found = recorded.runs.find(
    (one) => one.workflow === workflow && one.phases.some((phase) => phase.show.state === state),
  )
  if (!found) throw new Error(`no recorded ${workflow} that is ${state}`)
  const phase = found.phases.find((one) => one.show.state === state)
  const entries = found.journal.filter((entry) => entry.seq <= (phase?.upto ?? 0)) as unknown as Entry[]
  return { timeline: foldJournal(entries), show: phase?.show, graph: phase?.graph as unknown as Graph, entries }
}

test('a declined card: the failure, the undone booking, and the message to the customer', () => {
  const { timeline, show } = run('appointment', 'compensated')
  const step = (node: string) => timeline.steps.find((one) => one.node === node)
  expect(step('charge_payment')).toMatchObject({ status: 'failed', fault: { code: 'PAYMENT_DECLINED' } })
  expect(step('create_booking')?.calls.map((call) => [call.name, call.undo])).toEqual([
    ['google_calendar', false],
    ['google_calendar', true],
  ])
  expect(timeline.utterances.map((one) => one.author)).toEqual(['customer', 'agent', 'customer', 'end'])
  expect(timeline.steps.reduce((sum, one) => sum + one.cost_usd, 0)).toBeCloseTo(show?.total_cost_usd ?? -1, 9)
})

test('a call that waits for approval has no attempt, and lists its approvers', () => {
  const { timeline } = run('return_and_refund', 'waiting')
  const refund = timeline.steps.find((one) => one.node === 'refund')
  expect(refund?.status).toBe('waiting')
  expect(refund?.calls[0]?.attempts).toEqual([])
  expect(refund?.waits).toMatchObject([{ for: 'approval', to: null, by: ['paul'] }])
  const now = (timeline.began ?? 0) + 3_600_000
  expect(splitTime(spans(timeline, now)).holding).toBe('person')
})

test('after the approval the call is dispatched and the run ends', () => {
  const { timeline } = run('return_and_refund', 'completed')
  const refund = timeline.steps.find((one) => one.node === 'refund')
  expect(refund?.waits[0]?.by).toEqual(['paul', 'olga'])
  expect(refund).toMatchObject({ status: 'completed', fault: null })
  expect(timeline.steps.every((one) => one.to !== null)).toBe(true)
})

test('the nodes of a loop body are separate steps', () => {
  const { timeline } = run('search_summarise_email', 'completed')
  expect(timeline.steps.map((one) => one.node)).toContain('summaries[1]/summarise')
})

test('every step agrees with the server’s status of its node', () => {
  for (const one of recorded.runs) {
    const last = one.phases.at(-1)
    const timeline = foldJournal(one.journal as unknown as Entry[])
    for (const node of last?.show.nodes ?? []) {
      const step = timeline.steps.find((found) => found.node === node.node)
      if (!step) expect(['pending', 'skipped'], `${one.workflow}/${node.node}`).toContain(node.status)
      else expect(step.status, `${one.workflow}/${node.node}`).toBe(node.status)
    }
  }
})

test('folding entry by entry equals folding all at once', () => {
  const { entries, timeline } = run('cita', 'completed')
  for (let n = 0; n <= entries.length; n++) foldJournal(entries.slice(0, n))
  expect(foldJournal(entries)).toEqual(timeline)
})

test('a week of waiting does not hide the work', () => {
  const week = 604_800_000
  const work = [
    { holder: 'agent' as const, from: 0, to: 5_000, open: false, waiting: false },
    { holder: 'tool' as const, from: 5_000, to: 8_000, open: false, waiting: false },
    { holder: 'person' as const, from: 8_000, to: week, open: true, waiting: true },
  ]
  const bar = splitTime(work)
  expect(bar.segments.map((segment) => segment.share.toFixed(2))).toEqual(['0.41', '0.25', '0.34'])
  expect(bar.segments.reduce((sum, segment) => sum + segment.share, 0)).toBeCloseTo(1)
  expect(bar.holding).toBe('person')
  const scale = axis(0, week, work)
  expect(scale.cuts).toHaveLength(1)
  expect(scale.at(8_000)).toBeCloseTo(0.8)
  expect(scale.at(week)).toBeCloseTo(1)
  expect(scale.ticks.map((tick) => tick.ms)).toEqual([0, 2_000, 4_000, 6_000, 8_000])
})

test('the axis never runs backwards', () => {
  const { timeline } = run('appointment', 'compensated')
  const scale = axis(timeline.began ?? 0, timeline.ended ?? 0, spans(timeline, timeline.ended ?? 0))
  let before = -1
  for (let at = timeline.began ?? 0; at <= (timeline.ended ?? 0); at += 7) {
    expect(scale.at(at)).toBeGreaterThanOrEqual(before)
    before = scale.at(at)
  }
})

test('parallel work counts once, and a run of many passes keeps a short bar', () => {
  const side = (from: number, to: number) => ({ holder: 'agent' as const, from, to, open: false, waiting: false })
  expect(workedTime([side(0, 10), side(5, 12), side(20, 21)])).toBe(13)
  const many = Array.from({ length: 500 }, (_, i) => ({
    ...side(i, i + 1),
    holder: i % 2 ? ('agent' as const) : ('tool' as const),
  }))
  expect(splitTime(many).segments.length).toBeLessThanOrEqual(60)
})

test('no nodes overlap, and the path taken is one straight line', () => {
  for (const one of recorded.runs) {
    const graph = one.phases.at(-1)?.graph as unknown as Graph
    const drawing = layout(graph, () => ({ width: 200, height: 71 }))
    const places = [...drawing.nodes.values()]
    expect(places).toHaveLength(graph.nodes.length)
    for (const a of places)
      for (const b of places)
        if (a !== b)
          expect(
            a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y,
            `${a.id} and ${b.id}`,
          ).toBe(true)
    for (const { edge } of drawing.routes)
      if (
        edge.taken &&
        graph.edges.filter((other) => other.from === edge.from && other.taken).length === 1 &&
        graph.edges.filter((other) => other.to === edge.to && other.taken).length === 1
      )
        expect(drawing.nodes.get(edge.to)?.x, `${edge.from} to ${edge.to}`).toBe(drawing.nodes.get(edge.from)?.x)
  }
})

test('a graph with a cycle has a layout', () => {
  const node = (id: string) => ({ id, kind: 'tool', status: 'pending' })
  const edge = (from: string, to: string) => ({ from, to, on_error: false, taken: false })
  const drawing = layout(
    { nodes: [node('a'), node('b'), node('c')], edges: [edge('a', 'b'), edge('b', 'c'), edge('c', 'b')] },
    () => ({ width: 200, height: 48 }),
  )
  expect(drawing.nodes.size).toBe(3)
})

test('a run graph has the status of each node and the edges taken', () => {
  for (const one of recorded.runs) {
    const last = one.phases.at(-1)
    const drawn = {
      nodes: last?.graph.nodes.map(({ id, kind, ...node }) => ({
        id,
        kind,
        label: ('name' in node && node.name) || ('calls' in node && node.calls) || id,
      })),
      edges: last?.graph.edges.map(({ taken: _, ...edge }) => edge),
    } as DrawnGraph
    const graph = runGraph(drawn, (last?.show.nodes ?? []) as Execution['nodes'], one.journal as unknown as Entry[])
    expect(graph.edges.map((edge) => edge.taken)).toEqual(last?.graph.edges.map((edge) => edge.taken))
    expect(graph.nodes.map((node) => node.status)).toEqual(last?.graph.nodes.map((node) => node.status))
  }
})

test('tasks come from the run where the task inbox is not readable', () => {
  for (const one of recorded.runs) {
    const first = one.phases[0]
    const entries = one.journal.filter((entry) => entry.seq <= (first?.upto ?? 0)) as unknown as Entry[]
    const tasks = waitsOf(first?.show as unknown as Execution, foldJournal(entries))
    expect(
      tasks.map((item) => [item.kind, item.title.slice(0, 5), item.deadline && new Date(item.deadline).toISOString()]),
    ).toEqual(
      first?.desk.map((item) => [
        item.kind,
        item.kind === 'tool_approval' ? 'refun' : item.title.slice(0, 5),
        item.deadline,
      ]),
    )
    const approval = tasks.find((item) => item.kind === 'tool_approval')
    if (approval)
      expect(approval).toMatchObject({
        to: 'refund#0.0',
        approved_by: ['paul'],
        details: { need: 2, tool: 'pay_back', arguments: { amount: 184 } },
      })
  }
})

test('a run has its customer, and the version of its retry', () => {
  const at = '2026-11-22T10:00:00Z'
  const started = { started: { input: {}, bundle: 'b1', caller: { user_id: 'lucia' } } }
  expect(foldJournal([{ seq: 1, at, events: [started] }])).toMatchObject({ customer: 'lucia', bundle: 'b1' })
  const retried = { reopened: { retry: { by: 'olga', bundle: 'b2' } } }
  const undone = { reopened: { rollback: { by: 'olga' } } }
  const whole = foldJournal([
    { seq: 1, at, events: [started] },
    { seq: 2, at, events: [retried] },
    { seq: 3, at, events: [undone] },
  ])
  expect(whole).toMatchObject({ customer: 'lucia', bundle: 'b2' })
  expect(foldJournal([{ seq: 1, at, events: [{ started: { input: {}, caller: {} } }] }]).customer).toBe(null)
})

test('a run of a conversation has its id', () => {
  const of = (origin: unknown) =>
    foldJournal([{ seq: 1, at: '2026-11-22T10:00:00Z', events: [{ started: { input: {}, origin } }] }])
  expect(of({ conversation: { conversation: 'c1' } }).conversation).toBe('c1')
  expect(of('caller').conversation).toBe(null)
  expect(of({ parent: { run: 'r1', node: 'a', depth: 1 } }).conversation).toBe(null)
})

import { expect, test } from 'vitest'
import recorded from '../../test/fixtures/recorded.json'
import type { DrawnGraph, Entry, Execution, Graph } from '../api/schema'
import {
  buildGraphView,
  emptySelection,
  everyNode,
  type GraphView,
  layoutNested,
  type NestedLayout,
  nodeAt,
  placeOf,
} from './graph-view'
import { runGraph } from './run-graph'
import { foldJournal } from './timeline'

const run = recorded.runs.find((one) => one.workflow === 'morning_round')
const last = run?.phases.at(-1)
const entries = run?.journal as unknown as Entry[]
const timeline = foldJournal(entries)
const graph: Graph = runGraph(
  last?.graph as unknown as DrawnGraph,
  (last?.show.nodes ?? []) as Execution['nodes'],
  entries,
)
const passes = (view: GraphView) =>
  Object.fromEntries([...everyNode(view)].map((node) => [node.address, `${node.status} ${node.tries}`]))

test('a body shows the failed pass, unless a pass or one of its steps is selected', () => {
  expect(Object.keys(passes(buildGraphView(graph, timeline)))).toContain('each_return[1]/find')
  const third = new Map([['each_return', { pass: 2, selected: null }]])
  expect(passes(buildGraphView(graph, timeline, { ...emptySelection, passes: third }))).toMatchObject({
    'each_return[2]/find': 'completed 1',
    'each_return[2]/side_by_side.label/make': 'completed 1',
    'each_return[2]/side_by_side.words/check': 'completed 1',
  })
  const selectedPasses = new Map([['each_return', { pass: 1, selected: null }]])
  expect(passes(buildGraphView(graph, timeline, { ...emptySelection, passes: selectedPasses }))).toMatchObject({
    'each_return[1]/find': 'failed 1',
    'each_return[1]/side_by_side': 'skipped 0',
  })
  const selected = 'each_return[0]/side_by_side.words/read'
  expect(
    passes(buildGraphView(graph, timeline, { ...emptySelection, passes: selectedPasses, selected })),
  ).toHaveProperty([selected])
})

test('while it runs, the active pass is shown, and pending nodes are not skipped', () => {
  const upto = entries.findIndex((entry) => JSON.stringify(entry.events).includes('scope_opened'))
  const half = runGraph(last?.graph as unknown as DrawnGraph, [], entries.slice(0, upto + 1))
  const shown = passes(buildGraphView(half, foldJournal(entries.slice(0, upto + 1))))
  expect(Object.keys(shown)).toContain('each_return[2]/find')
  expect(shown['each_return[2]/side_by_side']).toBe('pending 0')
})

test('a collapsed node has no bodies and the size of a plain node', () => {
  const view = buildGraphView(graph, timeline, { ...emptySelection, shut: new Set(['each_return']) })
  expect(Object.keys(passes(view))).toEqual(['each_return', 'done'])
  expect(layoutNested(view).drawing.nodes.get('each_return')).toMatchObject({ width: 200, height: 71 })
})

test('the edges taken of a body are those of its pass', () => {
  const edge = (pass: number) => {
    const passes = new Map([['each_return', { pass, selected: null }]])
    return buildGraphView(graph, timeline, { ...emptySelection, passes }).nodes[0]?.bodies[0]?.edges[0]?.taken
  }
  expect([edge(0), edge(1)]).toEqual([true, false])
})

test('no nodes overlap, and each is inside its parent', () => {
  const view = buildGraphView(graph, timeline)
  const check = ({ drawing, inside }: NestedLayout) => {
    const all = [...drawing.nodes.values()]
    for (const a of all) {
      expect(a.x + a.width <= drawing.width && a.y + a.height <= drawing.height).toBe(true)
      for (const b of all)
        if (a !== b)
          expect(a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y).toBe(
            true,
          )
      let right = 0
      for (const { x, y, nested } of inside.get(a.id) ?? []) {
        expect(x).toBeGreaterThanOrEqual(right)
        right = x + nested.drawing.width
        expect(right <= a.width && y + nested.drawing.height <= a.height).toBe(true)
        check(nested)
      }
    }
  }
  check(layoutNested(view))
  const nested = layoutNested(view)
  expect(placeOf(view, nested, 'each_return[1]/find')?.y).toBeGreaterThan(
    placeOf(view, nested, 'each_return')?.y ?? 1e9,
  )
  expect(placeOf(view, nested, 'nowhere')).toBeNull()
})

test('a node is found by its journal address', () => {
  expect(nodeAt(graph, 'each_return[12]/side_by_side.words/check')?.name).toBe('Look again')
  expect(nodeAt(graph, 'each_return')?.kind).toBe('loop')
  expect(nodeAt(graph, 'gone[0]/check')).toBeUndefined()
})

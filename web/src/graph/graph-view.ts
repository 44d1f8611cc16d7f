import type { Graph, GraphEdge, GraphNode } from '../api/schema'
import { type Drawing, layout, nodeWidth } from './layout'
import type { RunTimeline, Step } from './timeline'

export const plainHeight = 48
export const footedHeight = 71
/** Padding around the bodies of a node, and above each named one. */
const inset = 10
const titleHeight = 22
/** Maximum nesting depth drawn; the server rejects such graphs long before. */
const depthMost = 16

export interface NodeView extends Omit<GraphNode, 'bodies'> {
  /** Its id, prefixed by its scopes; for a node not reached, the address it would get. */
  address: string
  tries: number
  undoable: boolean
  /** Has a footer line: duration and cost. */
  footed: boolean
  /** Of a loop: the number of passes, and the index of the one shown, from 0. */
  passes: { count: number; shownPass: number } | null
  bodies: GraphView[]
  /** Collapsed: its bodies are not drawn. */
  shut: boolean
}

export interface GraphView {
  branch: string
  nodes: NodeView[]
  edges: GraphEdge[]
}

export interface GraphSelection {
  selected: string | null
  /** The pass selected by the user, by the loop's address, and the selected node at that time. */
  passes: ReadonlyMap<string, { pass: number; selected: string | null }>
  shut: ReadonlySet<string>
}

export const emptySelection: GraphSelection = { selected: null, passes: new Map(), shut: new Set() }

const settled = new Set(['completed', 'failed', 'skipped', 'cancelled'])
const busy = new Set(['running', 'waiting', 'failed'])

/** The server's graph, updated from the journal, with the selected pass of each body. */
export function buildGraphView(
  graph: Graph,
  timeline: RunTimeline,
  selection: GraphSelection = emptySelection,
): GraphView {
  const steps = new Map(timeline.steps.map((step) => [step.node, step]))
  const deep = timeline.steps.filter((step) => step.node.includes('/'))
  return bodyView({ ...graph, branch: '' }, '', { steps, deep, closed: timeline.closed, selection }, 0)
}

interface ViewContext {
  steps: Map<string, Step>
  /** The steps in a body. */
  deep: Step[]
  closed: ReadonlySet<string>
  selection: GraphSelection
}

function bodyView(graph: Graph & { branch: string }, scope: string, context: ViewContext, depth: number): GraphView {
  const at = (id: string) => (scope ? `${scope}/${id}` : id)
  const taken = new Set(graph.nodes.flatMap((node) => [...(context.steps.get(at(node.id))?.taken ?? [])]))
  return {
    branch: graph.branch,
    nodes: graph.nodes.map((node) => one(node, at(node.id), context.closed.has(scope), context, depth)),
    // The server reports the edges taken of the outer graph.
    edges: scope ? graph.edges.map((edge, place) => ({ ...edge, taken: taken.has(place) })) : graph.edges,
  }
}

function one(node: GraphNode, address: string, isPast: boolean, context: ViewContext, depth: number): NodeView {
  const step = context.steps.get(address)
  const calls = step?.calls.filter((call) => !call.undo) ?? []
  const isInside = address !== node.id
  const knows = step && (!settled.has(node.status) || step.status === 'running' || step.status === 'waiting')
  const status = knows ? step.status : isInside && isPast ? 'skipped' : node.status
  const duration_ms = isInside && step?.to != null ? step.to - step.from : (node.duration_ms ?? null)
  const cost_usd = isInside ? (step?.cost_usd ?? 0) : (node.cost_usd ?? 0)
  const isLoop = node.bodies?.length === 1 && node.bodies[0]?.branch === ''
  const passes = isLoop ? passesOf(address, context) : null
  const shut = context.selection.shut.has(address)
  const { bodies, ...plain } = node
  return {
    ...plain,
    address,
    ...(calls[0] && step?.holder === 'tool' ? { calls: calls[0].name } : step?.agent ? { calls: step.agent } : {}),
    status,
    duration_ms,
    cost_usd,
    tries: step?.holder === 'tool' ? calls.reduce((most, call) => Math.max(most, call.attempts.length), 0) : 0,
    undoable: calls.some(
      (call) => typeof call.way_back === 'object' && call.way_back !== null && 'call' in call.way_back,
    ),
    footed: duration_ms != null || cost_usd > 0 || busy.has(status),
    passes,
    shut,
    bodies:
      shut || depth >= depthMost
        ? []
        : (bodies ?? []).map((body) =>
            bodyView(
              body,
              isLoop ? `${address}[${passes?.shownPass ?? 0}]` : `${address}.${body.branch}`,
              context,
              depth + 1,
            ),
          ),
  }
}

/** The pass to show: selected by the user, else of the selected step, else active or failed, else the last. */
function passesOf(address: string, { deep, selection }: ViewContext): NodeView['passes'] {
  const passOf = (of: string): number | null => {
    if (!of.startsWith(`${address}[`)) return null
    const pass = Number.parseInt(of.slice(address.length + 1), 10)
    return Number.isInteger(pass) ? pass : null
  }
  const seen = deep.flatMap((step) => {
    const pass = passOf(step.node)
    return pass === null ? [] : [{ pass, status: step.status }]
  })
  if (seen.length === 0) return null
  const count = Math.max(...seen.map((one) => one.pass)) + 1
  const chosen = selection.passes.get(address)
  const shownPass =
    (chosen && chosen.selected === selection.selected ? chosen.pass : null) ??
    (selection.selected ? passOf(selection.selected) : null) ??
    chosen?.pass ??
    (
      seen.findLast((one) => one.status === 'running' || one.status === 'waiting') ??
      seen.findLast((one) => one.status === 'failed')
    )?.pass ??
    count - 1
  return { count, shownPass: Math.max(0, Math.min(count - 1, shownPass)) }
}

export interface NestedLayout {
  drawing: Drawing
  /** The layouts of the bodies by node id, with positions relative to the node. */
  inside: Map<string, { x: number; y: number; body: GraphView; nested: NestedLayout }[]>
}

export const heightOf = (node: NodeView): number => (node.footed ? footedHeight : plainHeight)

/** Lays out bodies first, since they determine the size of their node. */
export function layoutNested(graph: GraphView): NestedLayout {
  const inside: NestedLayout['inside'] = new Map()
  const sizes = new Map<string, { width: number; height: number }>()
  for (const node of graph.nodes) {
    const head = heightOf(node)
    if (node.bodies.length === 0) {
      sizes.set(node.id, { width: nodeWidth, height: head })
      continue
    }
    const top = head + (node.bodies.some((body) => body.branch) ? titleHeight : 0)
    let x = inset
    let tallest = 0
    const bodies = node.bodies.map((body) => {
      const nested = layoutNested(body)
      const placed = { x, y: top, body, nested }
      x += nested.drawing.width + inset
      tallest = Math.max(tallest, nested.drawing.height)
      return placed
    })
    inside.set(node.id, bodies)
    sizes.set(node.id, { width: Math.max(nodeWidth, x), height: top + tallest + inset })
  }
  return { drawing: layout(graph, (id) => sizes.get(id) ?? { width: nodeWidth, height: plainHeight }), inside }
}

/** The position of a node on the whole canvas; of a node with bodies, the position of its head. */
export function placeOf(
  graph: GraphView,
  nested: NestedLayout,
  address: string,
): { x: number; y: number; width: number; height: number } | null {
  for (const node of graph.nodes) {
    const place = nested.drawing.nodes.get(node.id)
    if (!place) continue
    if (node.address === address) return { x: place.x, y: place.y, width: nodeWidth, height: heightOf(node) }
    for (const { x, y, body, nested: inner } of nested.inside.get(node.id) ?? []) {
      const found = placeOf(body, inner, address)
      if (found) return { ...found, x: found.x + place.x + x, y: found.y + place.y + y }
    }
  }
  return null
}

export function* everyNode(graph: GraphView): Generator<NodeView> {
  for (const node of graph.nodes) {
    yield node
    for (const body of node.bodies) yield* everyNode(body)
  }
}

/** The graph node for an address of the journal: `loop[3]/fork.left/node`. */
export function nodeAt(graph: Graph | undefined, address: string): GraphNode | undefined {
  let [at, found]: [Graph | undefined, GraphNode | undefined] = [graph, undefined]
  for (const part of address.split('/')) {
    const [, id = part, branch = ''] = part.match(/^([^[.]+)(?:\[\d+\]|\.(.+))?$/) ?? []
    found = at?.nodes.find((node) => node.id === id)
    at = found?.bodies?.find((body) => body.branch === branch)
  }
  return found
}

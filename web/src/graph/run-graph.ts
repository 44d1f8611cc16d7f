import type { DrawnGraph, Entry, Graph, GraphEdge, GraphNode, NodeState } from '../api/schema'
import { bodyOf, kindOf } from './timeline'

const identifier = /^[\w.:/-]+$/

/** The graph of a version, annotated by a run: the status of each node, and the edges taken. */
export function runGraph(graph: DrawnGraph, states: readonly NodeState[], entries: readonly Entry[]): Graph {
  const stateOf = new Map(states.map((state) => [state.node, state]))
  const taken = new Set<number>()
  for (const event of entries.flatMap((entry) => entry.events)) {
    const body = bodyOf(event)
    // Indexes are per graph: those of a body are not the outer graph's.
    if (kindOf(event) === 'ended' && !String(body.node).includes('/'))
      for (const place of (body.taken ?? []) as number[]) taken.add(place)
  }
  return {
    nodes: graph.nodes.map((node) => named(node, stateOf.get(node.id))),
    edges: graph.edges.map((edge, place) => ({ ...edgeOf(edge), taken: edge.taken ?? taken.has(place) })),
  }
}

function named(node: DrawnGraph['nodes'][number], state?: NodeState): GraphNode {
  const label = node.label && node.label !== node.id ? node.label : undefined
  // A label is the node's name, or the identifier of what it calls.
  const name = node.name ?? (label && !identifier.test(label) ? label : undefined)
  const calls = node.calls ?? (label && identifier.test(label) ? label : undefined)
  return {
    id: node.id,
    kind: node.kind,
    ...(name ? { name } : {}),
    ...(calls ? { calls } : {}),
    status: state?.status ?? node.status ?? 'pending',
    duration_ms: state?.duration_ms ?? node.duration_ms ?? null,
    cost_usd: state?.cost_usd ?? node.cost_usd ?? 0,
    // The status of a body differs by pass: `buildGraphView` sets it for the pass shown.
    ...(node.bodies?.length
      ? {
          bodies: node.bodies.map(({ branch, nodes, edges }) => ({
            branch,
            nodes: nodes.map((inner) => named(inner)),
            edges: edges.map((edge) => ({ ...edgeOf(edge), taken: false })),
          })),
        }
      : {}),
  }
}

function edgeOf({ from, to, label, on_error }: DrawnGraph['edges'][number]): Omit<GraphEdge, 'taken'> {
  return { from, to, on_error, ...(label ? { label } : {}) }
}

import type { DrawnGraph, Entry, Graph, GraphEdge, GraphNode, NodeState } from '../api/schema'
import { bodyOf, kindOf } from './timeline'

const identifier = /^[\w.:/-]+$/

/** The drawing of a version, with what a run made of it: how far each node came, and which edges were taken. */
export function runGraph(drawn: DrawnGraph, states: readonly NodeState[], entries: readonly Entry[]): Graph {
  const known = new Map(states.map((state) => [state.node, state]))
  const taken = new Set<number>()
  for (const event of entries.flatMap((entry) => entry.events)) {
    const body = bodyOf(event)
    // Places count the edges of one graph: those of a body are not the outer graph's.
    if (kindOf(event) === 'ended' && !String(body.node).includes('/'))
      for (const place of (body.taken ?? []) as number[]) taken.add(place)
  }
  return {
    nodes: drawn.nodes.map((node) => named(node, known.get(node.id))),
    edges: drawn.edges.map((edge, place) => ({ ...edgeOf(edge), taken: edge.taken ?? taken.has(place) })),
  }
}

function named(node: DrawnGraph['nodes'][number], state?: NodeState): GraphNode {
  const label = node.label && node.label !== node.id ? node.label : undefined
  // A label is the node's name, or else what it runs, which is written as one word.
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
    // How far a body came differs from pass to pass: `nested` says it of the pass that is shown.
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

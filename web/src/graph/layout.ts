import type { Graph, GraphEdge } from '../api/schema'

export interface Placed {
  id: string
  x: number
  y: number
  width: number
  height: number
}

export interface Route {
  edge: GraphEdge
  path: string
  label: { x: number; y: number } | null
}

export interface Size {
  width: number
  height: number
}

export interface Drawing {
  nodes: Map<string, Placed>
  routes: Route[]
  width: number
  height: number
}

export const nodeWidth = 200
const gapX = 36
const gapY = 30
const margin = 18
const radius = 8
/** Error edges leave the middle of the right side, or of the head of a node taller than this. */
const headMost = 71

/**
 * A top-down layout: the path taken (or the default one) is a straight spine at the left, and branches are in lanes
 * beside it, so that a narrow column shows the whole spine.
 */
export function layout(graph: Graph, sizeOf: (id: string) => Size): Drawing {
  const out = new Map<string, GraphEdge[]>(graph.nodes.map((node) => [node.id, []]))
  const into = new Map<string, GraphEdge[]>(graph.nodes.map((node) => [node.id, []]))
  for (const edge of graph.edges) {
    if (!out.has(edge.from) || !into.has(edge.to)) continue
    out.get(edge.from)?.push(edge)
    into.get(edge.to)?.push(edge)
  }
  const order = topological(graph, out, into)
  const layer = new Map<string, number>()
  for (const id of order) {
    const before = (into.get(id) ?? []).map((edge) => layer.get(edge.from) ?? -1)
    layer.set(id, before.length ? Math.max(...before) + 1 : 0)
  }
  // Roots other than the start, such as the steps after a rollback, are placed below the main graph.
  const roots = order.filter((id) => into.get(id)?.length === 0)
  const main = new Set(reach(roots[0], out))
  const below = 1 + Math.max(-1, ...order.filter((id) => main.has(id)).map((id) => layer.get(id) ?? 0))
  const late = roots
    .slice(1)
    .filter((id) => graph.nodes.findIndex((node) => node.id === id) > 0 && !touches(id, main, out))
  for (const root of late) for (const id of reach(root, out)) layer.set(id, (layer.get(id) ?? 0) + below)

  const spine = new Set([
    ...longest(
      order.filter((id) => main.has(id)),
      out,
    ),
    ...late.flatMap((root) => longest(reach(root, out), out)),
  ])
  const lane = new Map<string, number>()
  const held = new Set<string>()
  const byLayer = [...order].sort((a, b) => (layer.get(a) ?? 0) - (layer.get(b) ?? 0))
  for (const id of byLayer) if (spine.has(id)) take(id, 0)
  for (const id of byLayer) {
    if (spine.has(id)) continue
    const from = Math.max(1, ...(into.get(id) ?? []).map((edge) => lane.get(edge.from) ?? 0))
    let at = from
    while (held.has(`${layer.get(id)}/${at}`)) at++
    take(id, at)
  }
  function take(id: string, at: number): void {
    lane.set(id, at)
    held.add(`${layer.get(id)}/${at}`)
  }

  const layers = Math.max(-1, ...layer.values()) + 1
  const tall = Array.from({ length: layers }, () => 0)
  for (const id of order) tall[layer.get(id) ?? 0] = Math.max(tall[layer.get(id) ?? 0] ?? 0, sizeOf(id).height)
  const top: number[] = []
  let y = margin
  for (const height of tall) {
    top.push(y)
    y += height + gapY
  }
  const lanes = Math.max(0, ...lane.values()) + 1
  const wide = Array.from({ length: lanes }, () => nodeWidth)
  for (const id of order) wide[lane.get(id) ?? 0] = Math.max(wide[lane.get(id) ?? 0] ?? 0, sizeOf(id).width)
  const left: number[] = []
  let x = margin
  for (const width of wide) {
    left.push(x)
    x += width + gapX
  }
  const nodes = new Map<string, Placed>()
  const rightOf = (id: string) => (left[lane.get(id) ?? 0] ?? 0) + (wide[lane.get(id) ?? 0] ?? 0)
  for (const id of order)
    nodes.set(id, { id, x: left[lane.get(id) ?? 0] ?? 0, y: top[layer.get(id) ?? 0] ?? 0, ...sizeOf(id) })
  const routes = graph.edges.flatMap((edge) => {
    const [a, b] = [nodes.get(edge.from), nodes.get(edge.to)]
    return a && b
      ? [
          route(
            edge,
            a,
            b,
            (layer.get(edge.to) ?? 0) - (layer.get(edge.from) ?? 0),
            top[layer.get(edge.to) ?? 0] ?? 0,
            rightOf(edge.from),
          ),
        ]
      : []
  })
  return { nodes, routes, width: x - gapX + margin, height: y - gapY + margin }
}

/** The x of incoming and outgoing edges: the middle of a plain node, also for wider ones. */
const port = (of: Placed): number => of.x + Math.min(of.width, nodeWidth) / 2

function topological(graph: Graph, out: Map<string, GraphEdge[]>, into: Map<string, GraphEdge[]>): string[] {
  const waits = new Map(graph.nodes.map((node) => [node.id, into.get(node.id)?.length ?? 0]))
  const ready = graph.nodes.filter((node) => waits.get(node.id) === 0).map((node) => node.id)
  const order: string[] = []
  const seen = new Set<string>()
  const go = (id: string) => {
    if (seen.has(id)) return
    seen.add(id)
    order.push(id)
    for (const edge of out.get(id) ?? []) {
      const left = (waits.get(edge.to) ?? 1) - 1
      waits.set(edge.to, left)
      if (left === 0) ready.push(edge.to)
    }
  }
  while (ready.length) go(ready.shift() as string)
  // Cycles are allowed: the remaining nodes follow in definition order.
  for (const node of graph.nodes) go(node.id)
  return order
}

function reach(root: string | undefined, out: Map<string, GraphEdge[]>): string[] {
  const seen = new Set<string>()
  const stack = root === undefined ? [] : [root]
  while (stack.length) {
    const id = stack.pop() as string
    if (seen.has(id)) continue
    seen.add(id)
    for (const edge of out.get(id) ?? []) stack.push(edge.to)
  }
  return [...seen]
}

const touches = (root: string, main: Set<string>, out: Map<string, GraphEdge[]>): boolean =>
  reach(root, out).some((id) => main.has(id))

/** The path with most taken edges, then the longest; error edges count only where taken. */
function longest(ids: string[], out: Map<string, GraphEdge[]>): string[] {
  const inside = new Set(ids)
  const best = new Map<string, { score: number; next: string | null }>()
  const visiting = new Set<string>()
  const score = (id: string): number => {
    const known = best.get(id)
    if (known) return known.score
    if (visiting.has(id)) return 0
    visiting.add(id)
    let top = { score: 1, next: null as string | null }
    for (const edge of out.get(id) ?? []) {
      if (!inside.has(edge.to)) continue
      const value = score(edge.to) + 1 + (edge.taken ? 1000 : 0) - (edge.on_error && !edge.taken ? 500 : 0)
      if (value > top.score) top = { score: value, next: edge.to }
    }
    visiting.delete(id)
    best.set(id, top)
    return top.score
  }
  const way: string[] = []
  for (let id: string | null = ids[0] ?? null; id && !way.includes(id); id = best.get(id)?.next ?? null) {
    score(id)
    way.push(id)
  }
  return way
}

function route(edge: GraphEdge, a: Placed, b: Placed, span: number, layerTop: number, right: number): Route {
  const [bx, by] = [port(b), b.y]
  if (edge.on_error) {
    const [ax, ay] = [a.x + a.width, a.y + Math.min(a.height, headMost) / 2]
    if (b.x > a.x)
      return {
        edge,
        path: corners([
          [ax, ay],
          [bx, ay],
          [bx, by],
        ]),
        label: { x: Math.min(ax + 32, bx), y: ay - 11 },
      }
    const lane = right + gapX / 2
    return {
      edge,
      path: corners([
        [ax, ay],
        [lane, ay],
        [lane, layerTop - gapY / 2],
        [bx, layerTop - gapY / 2],
        [bx, by],
      ]),
      label: { x: lane, y: ay - 11 },
    }
  }
  const [ax, ay] = [port(a), a.y + a.height]
  const turn = layerTop - gapY / 2
  const label = { x: bx, y: turn }
  if (span === 1)
    return {
      edge,
      path: corners(
        ax === bx
          ? [
              [ax, ay],
              [bx, by],
            ]
          : [
              [ax, ay],
              [ax, turn],
              [bx, turn],
              [bx, by],
            ],
      ),
      label: ax === bx ? { x: bx, y: (ay + by) / 2 } : label,
    }
  // Route past other layers in the gutter beside the source's lane, or at the left of the target's.
  const gutter = a.x >= b.x && a.x > margin ? port(a) : b.x > a.x ? port(b) : a.x - margin / 2
  if (gutter === bx || gutter === ax) {
    const first = ay + gapY / 2
    return gutter === ax
      ? {
          edge,
          path: corners([
            [ax, ay],
            [ax, turn],
            [bx, turn],
            [bx, by],
          ]),
          label,
        }
      : {
          edge,
          path: corners([
            [ax, ay],
            [ax, first],
            [gutter, first],
            [bx, by],
          ]),
          label: { x: bx, y: first },
        }
  }
  const first = ay + gapY / 2
  return {
    edge,
    path: corners([
      [ax, ay],
      [ax, first],
      [gutter, first],
      [gutter, turn],
      [bx, turn],
      [bx, by],
    ]),
    label: { x: bx, y: turn },
  }
}

/** A path through the points, with rounded corners. */
function corners(points: [number, number][]): string {
  let path = ''
  points.forEach(([x, y], i) => {
    const [before, after] = [points[i - 1], points[i + 1]]
    if (!before) path += `M${x} ${y}`
    else if (!after) path += `L${x} ${y}`
    else {
      const r = Math.min(
        radius,
        Math.hypot(x - before[0], y - before[1]) / 2,
        Math.hypot(after[0] - x, after[1] - y) / 2,
      )
      const toward = ([px, py]: [number, number]): [number, number] => {
        const far = Math.hypot(px - x, py - y) || 1
        return [x + ((px - x) / far) * r, y + ((py - y) / far) * r]
      }
      const [s, e] = [toward(before), toward(after)]
      path += `L${s[0]} ${s[1]}Q${x} ${y} ${e[0]} ${e[1]}`
    }
  })
  return path
}

/** A time axis: work is drawn to scale, long idle gaps are compressed and marked by a cut. */
export interface Axis {
  /** 0 to 1. */
  at(time: number): number
  ticks: { at: number; ms: number }[]
  cuts: number[]
}

export interface WorkedSpan {
  from: number
  to: number
  waiting: boolean
}

const cutWidth = 0.2
const cutsMost = 0.6

export function axis(began: number, until: number, spans: readonly WorkedSpan[]): Axis {
  const end = Math.max(until, began + 1)
  const busy: [number, number][] = []
  for (const span of spans.filter((one) => !one.waiting).sort((a, b) => a.from - b.from)) {
    const last = busy.at(-1)
    if (last && span.from <= last[1]) last[1] = Math.max(last[1], span.to)
    else busy.push([span.from, span.to])
  }
  const work = busy.reduce((sum, [from, to]) => sum + to - from, 0)
  // Short gaps keep their length.
  const gapLeast = Math.max(1_000, work * 0.35)
  const edges = [began, ...busy.flat(), end]
  const pieces: { from: number; to: number; cut: boolean }[] = []
  for (let i = 0; i + 1 < edges.length; i++) {
    const [from, to] = [edges[i] ?? began, edges[i + 1] ?? end]
    if (to <= from) continue
    pieces.push({ from, to, cut: i % 2 === 0 && to - from > gapLeast && work > 0 })
  }
  const cuts = pieces.filter((piece) => piece.cut).length
  const cutPart = Math.min(cutsMost, cuts * cutWidth)
  const linear = pieces.filter((piece) => !piece.cut).reduce((sum, piece) => sum + piece.to - piece.from, 0)
  let x = 0
  const placed = pieces.map((piece) => {
    const width = piece.cut
      ? cutPart / cuts
      : linear === 0
        ? 1 - cutPart
        : ((piece.to - piece.from) / linear) * (1 - cutPart)
    const one = { ...piece, x, width }
    x += width
    return one
  })
  const at = (time: number): number => {
    if (time <= began) return 0
    for (const piece of placed)
      if (time <= piece.to) return piece.x + (piece.width * Math.max(0, time - piece.from)) / (piece.to - piece.from)
    return Math.min(1, x)
  }
  return {
    at,
    ticks: ticks(began, linear / Math.max(0.1, 1 - cutPart), placed, at),
    cuts: placed.filter((p) => p.cut).map((p) => p.x + p.width / 2),
  }
}

const steps = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5,
  1728e5, 6048e5,
]

function ticks(
  began: number,
  scale: number,
  placed: { from: number; to: number; cut: boolean }[],
  at: (time: number) => number,
) {
  const step = steps.find((one) => scale / one <= 5.5) ?? 6048e5
  const out = [{ at: 0, ms: 0 }]
  for (const piece of placed) {
    if (piece.cut) continue
    for (let ms = Math.ceil((piece.from - began) / step) * step; ms <= piece.to - began && out.length < 12; ms += step)
      if (ms > 0 && at(began + ms) - (out.at(-1)?.at ?? 0) > 0.07) out.push({ at: at(began + ms), ms })
  }
  return out
}

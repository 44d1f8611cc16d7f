import type { Holder } from './holder'
import type { HolderSpan } from './timeline'

export interface TimeSegment {
  holder: Holder
  waiting: boolean
  open: boolean
  ms: number
  /** Fraction of the bar's length. */
  share: number
}

export interface TimeSplit {
  segments: TimeSegment[]
  sums: Record<Holder, number>
  /** The current holder, if the run has not ended. */
  holding: Holder | null
}

/** Maximum fraction of the bar for waits, so that a week of waiting does not hide the work. */
const waitsMost = 0.34
const segmentsMost = 60

/** The time worked, in milliseconds; parallel work counts once. */
export function workedTime(spans: readonly HolderSpan[]): number {
  let sum = 0
  let until = Number.NEGATIVE_INFINITY
  for (const span of [...spans].filter((one) => !one.waiting).sort((a, b) => a.from - b.from)) {
    sum += Math.max(0, span.to - Math.max(span.from, until))
    until = Math.max(until, span.to)
  }
  return sum
}

export function splitTime(spans: readonly HolderSpan[]): TimeSplit {
  const sums: Record<Holder, number> = { agent: 0, tool: 0, person: 0, flow: 0 }
  const segments: TimeSegment[] = []
  for (const span of spans) {
    const ms = Math.max(0, span.to - span.from)
    sums[span.holder] += ms
    const last = segments.at(-1)
    if (last && last.holder === span.holder && last.waiting === span.waiting) {
      last.ms += ms
      last.open ||= span.open
    } else segments.push({ holder: span.holder, waiting: span.waiting, open: span.open, ms, share: 0 })
  }
  while (segments.length > segmentsMost) {
    // Merge the shortest segment into the one before it, so that a long run keeps a readable bar.
    let least = 1
    for (let i = 2; i < segments.length; i++) if ((segments[i]?.ms ?? 0) < (segments[least]?.ms ?? 0)) least = i
    const [merged] = segments.splice(least, 1)
    const into = segments[least - 1]
    if (into && merged) into.ms += merged.ms
  }
  const total = (waiting: boolean) =>
    segments.filter((segment) => segment.waiting === waiting).reduce((sum, segment) => sum + segment.ms, 0)
  const work = total(false)
  const waited = total(true)
  const waitPart = waited === 0 ? 0 : work === 0 ? 1 : Math.min(waitsMost, waited / (work + waited))
  for (const segment of segments) {
    const [of, part] = segment.waiting ? [waited, waitPart] : [work, 1 - waitPart]
    segment.share = of === 0 ? 0 : (segment.ms / of) * part
  }
  return { segments, sums, holding: spans.findLast((span) => span.open)?.holder ?? null }
}

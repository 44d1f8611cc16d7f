import type { Holder } from './holder'
import type { HolderSpan } from './timeline'

export interface TimeSegment {
  holder: Holder
  waiting: boolean
  open: boolean
  ms: number
  /** Its share of the bar's length. */
  share: number
}

export interface TimeSplit {
  legs: TimeSegment[]
  sums: Record<Holder, number>
  /** The holder who has it now, if the run has not ended. */
  holding: Holder | null
}

/** Waits never take more than this of the bar, or a week of waiting would hide the work. */
const waitsMost = 0.34
const legsMost = 60

/** For how long anybody worked; what runs side by side counts once. */
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
  const legs: TimeSegment[] = []
  for (const span of spans) {
    const ms = Math.max(0, span.to - span.from)
    sums[span.holder] += ms
    const last = legs.at(-1)
    if (last && last.holder === span.holder && last.waiting === span.waiting) {
      last.ms += ms
      last.open ||= span.open
    } else legs.push({ holder: span.holder, waiting: span.waiting, open: span.open, ms, share: 0 })
  }
  while (legs.length > legsMost) {
    // The shortest leg joins the one before it: a long run keeps its shape, not its every pass.
    let least = 1
    for (let i = 2; i < legs.length; i++) if ((legs[i]?.ms ?? 0) < (legs[least]?.ms ?? 0)) least = i
    const [gone] = legs.splice(least, 1)
    const into = legs[least - 1]
    if (into && gone) into.ms += gone.ms
  }
  const total = (waiting: boolean) =>
    legs.filter((leg) => leg.waiting === waiting).reduce((sum, leg) => sum + leg.ms, 0)
  const work = total(false)
  const waited = total(true)
  const waitPart = waited === 0 ? 0 : work === 0 ? 1 : Math.min(waitsMost, waited / (work + waited))
  for (const leg of legs) {
    const [of, part] = leg.waiting ? [waited, waitPart] : [work, 1 - waitPart]
    leg.share = of === 0 ? 0 : (leg.ms / of) * part
  }
  return { legs, sums, holding: spans.findLast((span) => span.open)?.holder ?? null }
}

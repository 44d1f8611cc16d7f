import { i18n } from '.'

const made = new Map<string, unknown>()
/** Formatters are expensive to create: one of a kind is cached for each language. */
function cached<T>(kind: string, make: (language: string) => T): T {
  const key = `${i18n.locale || 'en'}/${kind}`
  if (!made.has(key)) made.set(key, make(i18n.locale || 'en'))
  return made.get(key) as T
}
const number = (digits: number, least = digits) =>
  cached(
    `n${digits}.${least}`,
    (l) => new Intl.NumberFormat(l, { maximumFractionDigits: digits, minimumFractionDigits: least, useGrouping: true }),
  )

export const count = (n: number): string => number(0).format(n)

/** `2 ms`, `0.7 s`, `6 m 02 s`, `3 h 05 m`, `2 d 4 h`: two units at most. */
export function duration(ms: number): string {
  const late = ms < 0 ? '−' : ''
  const t = Math.abs(ms)
  const two = (n: number) => String(n).padStart(2, '0')
  if (t < 100) return `${late}${Math.round(t)} ms`
  if (t < 9_950) return `${late}${number(1).format(t / 1000)} s`
  const s = Math.round(t / 1000)
  if (s < 60) return `${late}${s} s`
  const m = Math.floor(s / 60)
  if (m < 60) return `${late}${m} m ${two(s % 60)} s`
  const h = Math.floor(m / 60)
  if (h < 48) return `${late}${h} h ${two(m % 60)} m`
  return `${late}${Math.floor(h / 24)} d ${h % 24} h`
}

/** For an axis: `2 s`, not `2.0 s`. */
export function tick(ms: number): string {
  return ms >= 1000 && ms < 10_000 && ms % 1000 === 0 ? `${ms / 1000} s` : duration(ms)
}

/** Coarser, for the time left: `53 min`, `23 h`, `2 d`; seconds only in the last two minutes. */
export function timeLeft(ms: number): string {
  const late = ms < 0 ? '−' : ''
  const t = Math.abs(ms)
  if (t < 120_000) return `${late}${Math.floor(t / 1000)} s`
  if (t < 7_200_000) return `${late}${Math.floor(t / 60_000)} min`
  if (t < 172_800_000) return `${late}${Math.floor(t / 3_600_000)} h`
  return `${late}${Math.floor(t / 86_400_000)} d`
}

/** Four decimals for small amounts, two above a dollar. */
export function usd(amount: number | null | undefined, sign = true): string {
  if (amount === null || amount === undefined || amount === 0) return '—'
  const mark = sign ? '$' : ''
  if (amount > 0 && amount < 0.0001) return `<${mark}${number(4).format(0.0001)}`
  return mark + (amount >= 1 ? number(2) : number(4)).format(amount)
}

const at = (time: string | number | Date) => (time instanceof Date ? time : new Date(time))

export const clock = (time: string | number | Date): string =>
  cached(
    'clock',
    (l) => new Intl.DateTimeFormat(l, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
  ).format(at(time))

export const clockMs = (time: string | number | Date): string =>
  cached(
    'ms',
    (l) =>
      new Intl.DateTimeFormat(l, {
        hour: '2-digit',
        minute: '2-digit',
        second: '2-digit',
        fractionalSecondDigits: 3,
        hourCycle: 'h23',
      }),
  ).format(at(time))

const day = (time: string | number | Date): string =>
  cached('day', (l) => new Intl.DateTimeFormat(l, { day: 'numeric', month: 'short' })).format(at(time))

/** `10:41:07` today, else with the date. */
export function when(time: string | number | Date, now: number = Date.now()): string {
  const sameDay = at(time).toDateString() === new Date(now).toDateString()
  return sameDay ? clock(time) : `${day(time)}, ${clock(time).slice(0, 5)}`
}

export const exact = (time: string | number | Date): string =>
  cached('exact', (l) => new Intl.DateTimeFormat(l, { dateStyle: 'full', timeStyle: 'long' })).format(at(time))

export const percent = (part: number): string =>
  cached('pct', (l) => new Intl.NumberFormat(l, { style: 'percent', maximumFractionDigits: 0 })).format(part)

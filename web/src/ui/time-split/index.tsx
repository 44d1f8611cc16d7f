import type { Holder } from '../../graph/holder'
import type { TimeSplit } from '../../graph/time-split'
import { useT } from '../../i18n'
import { duration } from '../../i18n/format'
import css from './time-split.module.css'

const holders: Holder[] = ['agent', 'tool', 'person', 'flow']

/** The holders of the work, in order, to scale. */
export function TimeSplitBar({ split, thin }: { split: TimeSplit; thin?: boolean }) {
  const t = useT()
  return (
    <div className={`${css.bar} ${thin ? css.thin : ''}`} role="img" aria-label={sentence(split, t)}>
      {split.segments.map((segment, i) => (
        <i
          key={i}
          className={`time-segment ${css[segment.holder]} ${segment.waiting ? css.waiting : ''}`}
          style={{ flexGrow: Math.max(segment.share, 0.001) }}
          title={`${t(names[segment.holder])} ${duration(segment.ms)}`}
        />
      ))}
      {split.segments.length === 0 && <i className={css.todo} style={{ flexGrow: 1 }} />}
    </div>
  )
}

const names: Record<Holder, string> = { agent: 'Agents', tool: 'Tools', person: 'People', flow: 'Timers' }

function sentence(split: TimeSplit, t: ReturnType<typeof useT>): string {
  const parts = holders.filter((h) => split.sums[h] > 0).map((h) => `${t(names[h])} ${duration(split.sums[h])}`)
  return `${t('Who held the baton')}: ${parts.join(', ') || t('nobody yet')}`
}

/** The totals under the bar. */
export function TimeSplitLegend({ split }: { split: TimeSplit }) {
  const t = useT()
  const words = { agent: t('Agents'), tool: t('Tools'), person: t('People'), flow: t('Timers') }
  return (
    <>
      {holders
        .filter((h) => split.sums[h] > 0)
        .map((h) => (
          <span
            key={h}
            className={`${css.key} ${css[h]} ${split.holding === h && (h === 'person' || h === 'flow') ? css.waiting : ''}`}
          >
            {words[h]} {duration(split.sums[h])}
            {split.holding === h && `, ${t('still holding')}`}
          </span>
        ))}
    </>
  )
}

import type { Holder } from '../../graph/holder'
import type { TimeSplit } from '../../graph/time-split'
import { useT } from '../../i18n'
import { duration } from '../../i18n/format'
import css from './time-split.module.css'

const holders: Holder[] = ['agent', 'tool', 'person', 'flow']

/** Who held the baton, in order, to scale. */
export function TimeSplitBar({ relay, thin }: { relay: TimeSplit; thin?: boolean }) {
  const t = useT()
  return (
    <div className={`${css.relay} ${thin ? css.thin : ''}`} role="img" aria-label={sentence(relay, t)}>
      {relay.legs.map((leg, i) => (
        <i
          key={i}
          className={`relay-leg ${css[leg.holder]} ${leg.waiting ? css.waiting : ''}`}
          style={{ flexGrow: Math.max(leg.share, 0.001) }}
          title={`${t(names[leg.holder])} ${duration(leg.ms)}`}
        />
      ))}
      {relay.legs.length === 0 && <i className={css.todo} style={{ flexGrow: 1 }} />}
    </div>
  )
}

const names: Record<Holder, string> = { agent: 'Agents', tool: 'Tools', person: 'People', flow: 'Timers' }

function sentence(relay: TimeSplit, t: ReturnType<typeof useT>): string {
  const parts = holders.filter((h) => relay.sums[h] > 0).map((h) => `${t(names[h])} ${duration(relay.sums[h])}`)
  return `${t('Who held the baton')}: ${parts.join(', ') || t('nobody yet')}`
}

/** The sums under the bar. */
export function TimeSplitLegend({ relay }: { relay: TimeSplit }) {
  const t = useT()
  const words = { agent: t('Agents'), tool: t('Tools'), person: t('People'), flow: t('Timers') }
  return (
    <>
      {holders
        .filter((h) => relay.sums[h] > 0)
        .map((h) => (
          <span
            key={h}
            className={`${css.key} ${css[h]} ${relay.holding === h && (h === 'person' || h === 'flow') ? css.waiting : ''}`}
          >
            {words[h]} {duration(relay.sums[h])}
            {relay.holding === h && `, ${t('still holding')}`}
          </span>
        ))}
    </>
  )
}

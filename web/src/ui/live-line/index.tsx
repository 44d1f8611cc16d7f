import type { Line } from '../../api/live'
import { useT } from '../../i18n'
import { duration } from '../../i18n/format'
import { useNow } from '../clock'
import { Icon } from '../icon'
import css from './live-line.module.css'

/** Whether the page is up to date: discreet while the stream is live, prominent when it is lost. */
export function LiveLine({ line, over }: { line: Line; over?: boolean }) {
  const t = useT()
  const now = useNow(line.state === 'lost' ? 1000 : null)
  if (over) return null
  if (line.state === 'lost')
    return (
      <span className={css.lost} role="status">
        <Icon name="run" size={12} className="spin" />
        {t('Reconnecting, last update {ago} ago', { ago: duration(Math.max(1000, now - line.since)) })}
      </span>
    )
  if (line.state !== 'live') return null
  return (
    <span className={css.live}>
      <span className={css.dot} />
      {t('live')}
    </span>
  )
}

import { Link } from '@tanstack/react-router'
import { ended } from '../../api/queries'
import type { Execution } from '../../api/schema'
import { splitTime, workedTime } from '../../graph/time-split'
import { type RunTimeline, spans } from '../../graph/timeline'
import { useT } from '../../i18n'
import { duration, exact, usd, when } from '../../i18n/format'
import { TimeSplitBar, TimeSplitLegend } from '../../ui/time-split'
import css from './header.module.css'
import { Version } from './version'

/** The run's facts and its time split. */
export function Facts({ run, timeline, now }: { run: Execution; timeline: RunTimeline; now: number }) {
  const t = useT()
  const began = run.started_at ?? run.created_at
  const over = ended(run.state)
  const until = over ? (timeline.ended ?? now) : now
  const all = spans(timeline, until)
  const bar = splitTime(all)
  const worked = workedTime(all)
  const wakes = run.wakes_at && !over ? Date.parse(run.wakes_at) : null
  return (
    <section className={css.facts} aria-label={t('Facts')}>
      <dl>
        {run.runs_on && (
          <div>
            <dt>{t('Version')}</dt>
            <dd>
              <Version {...run.runs_on} />
            </dd>
          </div>
        )}
        {timeline.customer && (
          <div>
            <dt>{t('Customer')}</dt>
            <dd>{timeline.customer}</dd>
          </div>
        )}
        <div>
          <dt>{t('Started')}</dt>
          <dd className="num" title={exact(began)}>
            {when(began)}
          </dd>
        </div>
        <div>
          <dt>{t('Elapsed')}</dt>
          <dd className="num">
            {duration(over ? (run.duration_ms ?? until - Date.parse(began)) : now - Date.parse(began))}
          </dd>
        </div>
        <div>
          <dt>{t('Worked')}</dt>
          <dd className="num">{duration(worked)}</dd>
        </div>
        <div>
          <dt>{t('Cost')}</dt>
          <dd className="num">{usd(run.total_cost_usd)}</dd>
        </div>
        {wakes !== null && (
          <div>
            <dt>{t('Wakes at the latest')}</dt>
            <dd className="num" title={exact(wakes)}>
              {when(wakes)}
            </dd>
          </div>
        )}
        {run.parent && (
          <div>
            <dt>{t('Part of')}</dt>
            <dd>
              <Link to="/runs/$id" params={{ id: run.parent }} className="link mono">
                …{run.parent.slice(-12)}
              </Link>
            </dd>
          </div>
        )}
      </dl>
      <TimeSplitBar split={bar} />
      <div className={css.keys}>
        <TimeSplitLegend split={bar} />
        {!over && <span className="push sm dim">{t('Nothing here is repeated if this machine stops.')}</span>}
      </div>
    </section>
  )
}

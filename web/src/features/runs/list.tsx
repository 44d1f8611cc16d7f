import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { ended, workflows } from '../../api/queries'
import type { Head } from '../../api/schema'
import { said, useT } from '../../i18n'
import { duration, exact, usd, when } from '../../i18n/format'
import { Button } from '../../ui/button'
import { useLasting, useNow } from '../../ui/clock'
import { useCommands } from '../../ui/commands'
import { Icon } from '../../ui/icon'
import { LiveLine } from '../../ui/live-line'
import { StateSign } from '../../ui/state-sign'
import { Empty, Problem, Skeleton } from '../../ui/states'
import { Top } from '../../ui/top'
import { Words } from '../../ui/words'
import css from './list.module.css'
import { useRuns } from './use-runs'

const states: [string, string][] = [
  ['', said('Any state')],
  ['running', said('Running')],
  ['waiting', said('Waiting')],
  ['paused', said('Paused')],
  ['failed', said('Failed')],
  ['compensated', said('Undone')],
  ['completed', said('Completed')],
  ['cancelled', said('Cancelled')],
  ['timed_out', said('Timed out')],
]

export function RunsList() {
  const t = useT()
  const go = useNavigate({ from: '/runs' })
  const filter = useSearch({ from: '/runs' })
  const { pages, rows, fresh, lost } = useRuns(filter)
  const known = useQuery(workflows)
  const [at, setAt] = useState<string | null>(null)
  const body = useRef<HTMLTableSectionElement>(null)
  const state = useRef<HTMLSelectElement>(null)
  const now = useNow(rows.some((run) => !ended(run.state)) ? 1000 : null)
  const dim = useLasting(pages.isFetching && !pages.isFetchingNextPage && pages.isSuccess, 1000)
  const filtered = !!(filter.state || filter.workflow)
  const set = (more: { state?: string; workflow?: string }) => {
    const next = { ...filter, ...more }
    void go({
      search: { ...(next.state ? { state: next.state } : {}), ...(next.workflow ? { workflow: next.workflow } : {}) },
    })
  }
  const clear = () => void go({ search: {} })
  const step = (by: number) => {
    const place = rows.findIndex((run) => run.execution_id === at)
    const next = rows[Math.max(0, Math.min(rows.length - 1, place < 0 ? (by > 0 ? 0 : rows.length - 1) : place + by))]
    if (next) setAt(next.execution_id)
  }
  useEffect(() => {
    if (at) body.current?.querySelector<HTMLElement>(`[data-run="${at}"] a`)?.focus()
  }, [at])
  useCommands([
    { id: 'runs.next', title: t('Next run'), group: t('Runs'), keys: 'j', run: () => step(1) },
    { id: 'runs.previous', title: t('Previous run'), group: t('Runs'), keys: 'k', run: () => step(-1) },
    {
      id: 'runs.open',
      title: t('Open the run'),
      group: t('Runs'),
      keys: 'enter',
      run: () => at && void go({ to: '/runs/$id', params: { id: at } }),
    },
    { id: 'runs.filter', title: t('Filter'), group: t('Runs'), keys: 'f', run: () => state.current?.focus() },
    ...(filtered ? [{ id: 'runs.clear', title: t('Clear filters'), group: t('Runs'), run: clear }] : []),
  ])
  const names = [
    ...new Set([...(known.data?.map((one) => one.workflow) ?? []), ...(filter.workflow ? [filter.workflow] : [])]),
  ].sort()

  return (
    <>
      <Top
        actions={
          lost ? (
            <LiveLine line={{ state: 'lost', since: lost }} />
          ) : pages.isSuccess ? (
            <LiveLine line={{ state: 'live' }} />
          ) : null
        }
      >
        <h1>{t('Runs')}</h1>
      </Top>
      <div className={css.filters} role="search" aria-label={t('Filter')}>
        <label className={`${css.chip} ${filter.state ? css.on : ''}`}>
          <span className="vh">{t('State')}</span>
          <select ref={state} value={filter.state ?? ''} onChange={(e) => set({ state: e.target.value })}>
            {states.map(([value, word]) => (
              <option key={value} value={value}>
                {t(word)}
              </option>
            ))}
          </select>
          <Icon name="down" size={12} />
        </label>
        <label className={`${css.chip} ${filter.workflow ? css.on : ''}`}>
          <span className="vh">{t('Workflow')}</span>
          <select value={filter.workflow ?? ''} onChange={(e) => set({ workflow: e.target.value })}>
            <option value="">{t('Any workflow')}</option>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
          <Icon name="down" size={12} />
        </label>
        {filtered && (
          <Button small look="ghost" icon="x" onPress={clear}>
            {t('Clear filters')}
          </Button>
        )}
      </div>
      {pages.isError && <Problem problem={pages.error} onRetry={() => void pages.refetch()} />}
      <div className={css.scroll} aria-busy={dim}>
        {fresh > 0 && (
          <div className={css.fresh}>
            <Button small icon="up" onPress={() => void pages.refetch()}>
              {t('{n, plural, one {# new} other {# new}}', { n: fresh })}
            </Button>
          </div>
        )}
        {pages.isPending && <Skeleton rows={12} />}
        {pages.isSuccess &&
          rows.length === 0 &&
          (filtered ? (
            <Empty action={<Button onPress={clear}>{t('Clear filters')}</Button>}>
              {t('No run matches these filters.')}
            </Empty>
          ) : (
            <Empty
              action={
                <Link to="/chat/{-$workflow}" className="link">
                  {t('Try a workflow in chat')}
                </Link>
              }
            >
              {t('Every run of a workflow will stand here, newest first.')}
            </Empty>
          ))}
        {rows.length > 0 && (
          <table className={`${css.table} ${dim ? css.dim : ''}`}>
            <thead>
              <tr>
                <th scope="col">{t('State')}</th>
                <th scope="col">{t('Workflow')}</th>
                <th scope="col">{t('Run')}</th>
                <th scope="col">{t('Started')}</th>
                <th scope="col" className={css.right}>
                  {t('Elapsed')}
                </th>
                <th scope="col" className={css.right}>
                  {t('Cost')}
                </th>
                <th scope="col">{t('Last error')}</th>
              </tr>
            </thead>
            <tbody ref={body}>
              {rows.map((run) => (
                <Row
                  key={run.execution_id}
                  run={run}
                  now={now}
                  selected={at === run.execution_id}
                  onFocus={() => setAt(run.execution_id)}
                />
              ))}
            </tbody>
          </table>
        )}
        {pages.hasNextPage && (
          <div className={css.more}>
            <Button busy={pages.isFetchingNextPage} onPress={() => void pages.fetchNextPage()}>
              {t('More')}
            </Button>
          </div>
        )}
      </div>
    </>
  )
}

function Row({ run, now, selected, onFocus }: { run: Head; now: number; selected: boolean; onFocus: () => void }) {
  const began = run.started_at ?? run.created_at
  const elapsed = ended(run.state) ? (run.duration_ms ?? 0) : now - Date.parse(began)
  return (
    <tr data-run={run.execution_id} className={selected ? css.selected : undefined}>
      <td>
        <StateSign state={run.state} />
      </td>
      <td>
        <Link to="/runs/$id" params={{ id: run.execution_id }} className={css.open} onFocus={onFocus}>
          {run.workflow_id}
        </Link>
      </td>
      <td className="mono dim" title={run.execution_id}>
        {short(run.execution_id)}
      </td>
      <td className="mid" title={exact(began)}>
        {when(began)}
      </td>
      <td className={css.right}>{duration(elapsed)}</td>
      <td className={css.right}>{usd(run.total_cost_usd)}</td>
      <td className={css.error} title={run.error ?? undefined}>
        <span className={run.state === 'failed' || run.state === 'timed_out' ? 'bad-c' : 'mid'}>
          <Words>{run.error}</Words>
        </span>
      </td>
    </tr>
  )
}

/** The end of an id tells runs of one day apart; its beginning is the time. */
const short = (id: string): string => (id.length > 13 ? `…${id.slice(-12)}` : id)

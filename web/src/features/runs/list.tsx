import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { memo, useEffect, useMemo, useRef, useState } from 'react'
import { beginning, ended, versions, workflows } from '../../api/queries'
import { useMay } from '../../api/rights'
import type { Head } from '../../api/schema'
import { splitTime, type TimeSplit } from '../../graph/time-split'
import { foldJournal, type RunTimeline, spans } from '../../graph/timeline'
import { msg, useT } from '../../i18n'
import { duration, exact, usd, when } from '../../i18n/format'
import { Button } from '../../ui/button'
import { useLasting, useNow } from '../../ui/clock'
import { CodeText } from '../../ui/code-text'
import { useCommands } from '../../ui/commands'
import { Icon } from '../../ui/icon'
import { LiveLine } from '../../ui/live-line'
import { StateSign } from '../../ui/state-sign'
import { Empty, Problem, Skeleton } from '../../ui/states'
import { TimeSplitBar } from '../../ui/time-split'
import { Top } from '../../ui/top'
import { type BulkAction, BulkActionSheet, eligibleStates } from './bulk-actions'
import css from './list.module.css'
import { useRuns } from './use-runs'
import { useWindow } from './use-window'
import { Version } from './version'

const states: [string, string][] = [
  ['', msg('Any state')],
  ['running', msg('Running')],
  ['waiting', msg('Waiting')],
  ['paused', msg('Paused')],
  ['failed', msg('Failed')],
  ['compensated', msg('Undone')],
  ['completed', msg('Completed')],
  ['cancelled', msg('Cancelled')],
  ['timed_out', msg('Timed out')],
]

const rowHeight = 36
const headHeight = 33

export function RunsList() {
  const t = useT()
  const go = useNavigate({ from: '/runs' })
  const filter = useSearch({ from: '/runs' })
  const { pages, rows, fresh, again, lost } = useRuns(filter)
  const workflowsQuery = useQuery(workflows)
  const [at, setAt] = useState<string | null>(null)
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set())
  const [pending, setPending] = useState<BulkAction | null>(null)
  const lastPick = useRef<string | null>(null)
  const may = useMay('operate')
  const box = useRef<HTMLDivElement>(null)
  const body = useRef<HTMLTableSectionElement>(null)
  const shown = useWindow(box, rows.length, rowHeight, headHeight)
  const still = useStill(shown.from)
  const state = useRef<HTMLSelectElement>(null)
  const now = useNow(rows.some((run) => !ended(run.state)) ? 1000 : null)
  const dim = useLasting(pages.isFetching && !pages.isFetchingNextPage && pages.isSuccess, 1000)
  const filtered = !!(filter.state || filter.workflow)
  const set = (more: { state?: string; workflow?: string }) => {
    const next = { ...filter, ...more }
    setPicked(new Set())
    void go({
      search: { ...(next.state ? { state: next.state } : {}), ...(next.workflow ? { workflow: next.workflow } : {}) },
    })
  }
  const clear = () => {
    setPicked(new Set())
    void go({ search: {} })
  }
  const step = (by: number) => {
    const place = rows.findIndex((run) => run.execution_id === at)
    const next = rows[Math.max(0, Math.min(rows.length - 1, place < 0 ? (by > 0 ? 0 : rows.length - 1) : place + by))]
    if (!next) return
    shown.reveal(rows.indexOf(next))
    setAt(next.execution_id)
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: a row that was far away is drawn only after it is revealed.
  useEffect(() => {
    const link = at && body.current?.querySelector<HTMLElement>(`[data-run="${at}"] a`)
    // Not when the row scrolls back into view while the user types elsewhere.
    if (link && (document.activeElement === document.body || box.current?.contains(document.activeElement)))
      link.focus({ preventScroll: true })
  }, [at, shown.from])
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages
  const nearEnd = shown.to >= rows.length - 20 && shown.from > 0
  useEffect(() => {
    if (nearEnd && hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [nearEnd, hasNextPage, isFetchingNextPage, fetchNextPage])
  const pick = (run: string, upto: boolean) => {
    const next = new Set(picked)
    const [a, b] = [
      rows.findIndex((one) => one.execution_id === lastPick.current),
      rows.findIndex((one) => one.execution_id === run),
    ]
    if (upto && a >= 0) for (const one of rows.slice(Math.min(a, b), Math.max(a, b) + 1)) next.add(one.execution_id)
    else if (!next.delete(run)) next.add(run)
    lastPick.current = run
    setPicked(next)
  }
  const picking = useRef(pick)
  picking.current = pick
  const latest = useMemo(() => (run: string, upto: boolean) => picking.current(run, upto), [])
  const chosen = useMemo(() => rows.filter((run) => picked.has(run.execution_id)), [rows, picked])
  const actions: { what: BulkAction; title: string; icon: 'x' | 'redo' | 'undo' }[] = [
    { what: 'retry', title: t('Retry…'), icon: 'redo' },
    { what: 'cancel', title: t('Cancel…'), icon: 'x' },
    { what: 'compensate', title: t('Roll back…'), icon: 'undo' },
  ]
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
    ...(may
      ? [
          {
            id: 'runs.select',
            title: t('Select the run'),
            group: t('Runs'),
            keys: 'x',
            run: () => at && pick(at, false),
          },
          ...(chosen.length > 0
            ? [
                ...actions
                  .filter(({ what }) => chosen.some(eligibleStates[what]))
                  .map(({ what, title }) => ({
                    id: `runs.${what}`,
                    title: `${t('Selected runs')}: ${title}`,
                    group: t('Runs'),
                    ...(what === 'retry' ? { keys: 'e' } : {}),
                    run: () => setPending(what),
                  })),
                {
                  id: 'runs.none',
                  title: t('Clear the selection'),
                  group: t('Runs'),
                  keys: 'escape',
                  run: () => setPicked(new Set()),
                },
              ]
            : []),
        ]
      : []),
    { id: 'runs.filter', title: t('Filter'), group: t('Runs'), keys: 'f', run: () => state.current?.focus() },
    ...(filtered ? [{ id: 'runs.clear', title: t('Clear filters'), group: t('Runs'), run: clear }] : []),
  ])
  const names = [
    ...new Set([
      ...(workflowsQuery.data?.map((one) => one.workflow) ?? []),
      ...(filter.workflow ? [filter.workflow] : []),
    ]),
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
        {chosen.length > 0 && (
          <div className={css.bulkBar} role="group" aria-label={t('Selected runs')}>
            <span className="num" role="status">
              {t('{n, plural, one {# selected} other {# selected}}', { n: chosen.length })}
            </span>
            {actions.map(({ what, title, icon }) => (
              <Button
                key={what}
                small
                icon={icon}
                look={what === 'cancel' ? 'bad' : 'plain'}
                isDisabled={!chosen.some(eligibleStates[what])}
                onPress={() => setPending(what)}
              >
                {title}
              </Button>
            ))}
            <Button small look="ghost" onPress={() => setPicked(new Set())}>
              {t('Clear the selection')}
            </Button>
          </div>
        )}
      </div>
      {pending && (
        <BulkActionSheet
          what={pending}
          runs={chosen}
          onClose={() => setPending(null)}
          onDone={(left) => setPicked(new Set(left))}
        />
      )}
      {pages.isError && <Problem problem={pages.error} onRetry={() => void pages.refetch()} />}
      <div className={css.scroll} aria-busy={dim} ref={box}>
        {fresh > 0 && (
          <div className={css.fresh}>
            <Button
              small
              icon="up"
              onPress={() => {
                box.current?.scrollTo?.({ top: 0 })
                again()
              }}
            >
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
          <table className={`${css.table} ${dim ? css.dim : ''}`} aria-rowcount={hasNextPage ? -1 : rows.length + 1}>
            <colgroup>
              {may && <col className={css.pick} />}
              <col className={css.cState} />
              <col className={css.cWorkflow} />
              <col className={css.cVersion} />
              <col className={css.cCustomer} />
              <col className={css.cRun} />
              <col className={css.cBegan} />
              <col className={css.cElapsed} />
              <col className={css.cHeld} />
              <col className={css.cCost} />
              <col />
            </colgroup>
            <thead>
              <tr>
                {may && (
                  <th scope="col" className={css.pick}>
                    <input
                      type="checkbox"
                      aria-label={t('Select all that are listed')}
                      checked={chosen.length > 0 && chosen.length === rows.length}
                      ref={(all) => {
                        if (all) all.indeterminate = chosen.length > 0 && chosen.length < rows.length
                      }}
                      onChange={(e) => setPicked(new Set(e.target.checked ? rows.map((run) => run.execution_id) : []))}
                    />
                  </th>
                )}
                <th scope="col">{t('State')}</th>
                <th scope="col">{t('Workflow')}</th>
                <th scope="col" className={css.version}>
                  {t('Version')}
                </th>
                <th scope="col" className={css.customer}>
                  {t('Customer')}
                </th>
                <th scope="col" className={css.id}>
                  {t('Run')}
                </th>
                <th scope="col">{t('Started')}</th>
                <th scope="col" className={css.right}>
                  {t('Elapsed')}
                </th>
                <th scope="col" className={css.held}>
                  {t('Who held the baton')}
                </th>
                <th scope="col" className={css.right}>
                  {t('Cost')}
                </th>
                <th scope="col">{t('Last error')}</th>
              </tr>
            </thead>
            <tbody ref={body}>
              <Gap rows={shown.from} />
              {rows.slice(shown.from, shown.to).map((run, i) => (
                <Row
                  key={run.execution_id}
                  run={run}
                  place={shown.from + i}
                  now={ended(run.state) ? 0 : now}
                  selected={at === run.execution_id}
                  picked={may ? picked.has(run.execution_id) : null}
                  still={still}
                  onFocus={setAt}
                  onPick={latest}
                />
              ))}
              <Gap rows={rows.length - shown.to} />
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

/** Space for rows that are not rendered. */
function Gap({ rows }: { rows: number }) {
  return rows > 0 ? (
    <tr className={css.gap}>
      <td colSpan={11} style={{ height: rows * rowHeight }} />
    </tr>
  ) : null
}

/** Whether scrolling has paused, so that nothing is loaded for rows scrolled past. */
function useStill(place: number): boolean {
  const [rested, setRested] = useState<number | null>(null)
  useEffect(() => {
    const timer = setTimeout(() => setRested(place), 200)
    return () => clearTimeout(timer)
  }, [place])
  return rested === place
}

interface RowProps {
  run: Head
  place: number
  now: number
  selected: boolean
  /** `null` if the key may not act on runs. */
  picked: boolean | null
  still: boolean
  onFocus: (run: string) => void
  onPick: (run: string, upto: boolean) => void
}

const Row = memo(function Row({ run, place, now, selected, picked, still, onFocus, onPick }: RowProps) {
  const t = useT()
  const began = run.started_at ?? run.created_at
  const { timeline, bar } = useBeginning(run, still)
  const elapsed = ended(run.state) ? (run.duration_ms ?? 0) : now - Date.parse(began)
  return (
    <tr
      data-run={run.execution_id}
      aria-rowindex={place + 2}
      className={`${selected ? css.selected : ''} ${picked ? css.picked : ''}`}
    >
      {picked !== null && (
        <td className={css.pick}>
          <input
            type="checkbox"
            checked={picked}
            aria-label={t('Select {workflow} {run}', { workflow: run.workflow_id, run: short(run.execution_id) })}
            onClick={(e) => onPick(run.execution_id, e.shiftKey)}
            onChange={() => {}}
          />
        </td>
      )}
      <td>
        <StateSign state={run.state} />
      </td>
      <td title={run.workflow_id}>
        <Link
          to="/runs/$id"
          params={{ id: run.execution_id }}
          className={css.open}
          onFocus={() => onFocus(run.execution_id)}
        >
          {run.workflow_id}
        </Link>
      </td>
      <td className={`num ${css.version}`}>{timeline?.bundle && <OnVersion run={run} bundle={timeline.bundle} />}</td>
      <td className={`mid ${css.customer}`} title={timeline?.customer ?? undefined}>
        {timeline?.customer}
      </td>
      <td className={`mono dim ${css.id}`} title={run.execution_id}>
        {short(run.execution_id)}
      </td>
      <td className="mid" title={exact(began)}>
        {when(began)}
      </td>
      <td className={css.right}>{duration(elapsed)}</td>
      <td className={css.held}>{bar && <TimeSplitBar split={bar} thin />}</td>
      <td className={css.right}>{usd(run.total_cost_usd)}</td>
      <td className={css.error} title={run.error ?? undefined}>
        <span className={run.state === 'failed' || run.state === 'timed_out' ? 'bad-c' : 'mid'}>
          <CodeText>{run.error}</CodeText>
        </span>
      </td>
    </tr>
  )
})

/** The start of a run's journal: customer, version and time split; of an active run, up to its last entry. */
function useBeginning(run: Head, still: boolean): { timeline?: RunTimeline; bar?: TimeSplit } {
  const journalQuery = useQuery({ ...beginning(run.execution_id, run.entries), enabled: still && run.entries > 0 })
  return useMemo(() => {
    const last = journalQuery.data?.at(-1)
    if (!journalQuery.data || !last) return {}
    const timeline = foldJournal(journalQuery.data)
    const until = timeline.ended ?? (ended(run.state) ? Date.parse(last.at) : Date.now())
    return { timeline, bar: splitTime(spans(timeline, until)) }
  }, [journalQuery.data, run.state])
}

function OnVersion({ run, bundle }: { run: Head; bundle: string }) {
  const versionsQuery = useQuery(versions(run.workflow_id))
  const found = versionsQuery.data?.find((one) => one.bundle === bundle)
  return versionsQuery.isPending ? null : (
    <Version label={found?.label ?? ''} revision={found?.revision} bundle={bundle} />
  )
}

/** The end of an id, which differs between runs of one day; its start is the time. */
const short = (id: string): string => (id.length > 13 ? `…${id.slice(-12)}` : id)

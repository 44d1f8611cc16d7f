import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { Problem as ApiProblem } from '../../api/problem'
import { ended, useLiveRun, useRunTasks } from '../../api/queries'
import type { Execution, Graph, PlannedUndo, TaskItem } from '../../api/schema'
import { foldJournal } from '../../graph/timeline'
import { nodeOfItem } from '../../graph/waits'
import { type Translate, useT } from '../../i18n'
import { Button } from '../../ui/button'
import { useNow } from '../../ui/clock'
import { Copy, Json } from '../../ui/code'
import { useCommands } from '../../ui/commands'
import { taskWords } from '../../ui/decision/words'
import { LiveGraph } from '../../ui/live-graph'
import { LiveLine } from '../../ui/live-line'
import { StateSign } from '../../ui/state-sign'
import { Empty, Problem, Skeleton } from '../../ui/states'
import { Tabs } from '../../ui/tabs'
import { Slash, Top } from '../../ui/top'
import { useActions } from './actions'
import { Costs } from './costs'
import { Facts } from './header'
import { Journal } from './journal'
import { Plan, Undone } from './rollback'
import { StepPanel } from './step'
import { Timeline } from './timeline'
import css from './view.module.css'

const tabs = ['timeline', 'journal', 'variables', 'costs', 'undo'] as const

/** Waits of a call that needs no person. */
function heldBack(run: Execution, t: Translate): string | undefined {
  for (const one of run.waits_for ?? []) {
    const tool = one.tool ?? one.node ?? ''
    switch (one.kind) {
      case 'rate':
        return t('Waiting for the rate limit of {tool}', { tool })
      case 'circuit':
      case 'outage':
        return t('Waiting for the service of {tool}', { tool })
      case 'retry':
      case 'look_up':
        return t('Waiting to try {tool} again', { tool })
    }
  }
  return undefined
}

/** The reason of a wait, as text: "Waiting for a person". */
function waitReason(run: Execution, tasks: TaskItem[], t: Translate): string | undefined {
  if (run.state !== 'waiting') return undefined
  const first = tasks[0]
  if (!first) return heldBack(run, t) ?? (run.wakes_at ? t('Waiting for a time') : undefined)
  return first.kind === 'question'
    ? t('Waiting for the customer')
    : first.kind === 'approval' || first.kind === 'tool_approval' || first.kind === 'form'
      ? t('Waiting for a person')
      : t(taskWords[first.kind])
}

export function RunView() {
  const { id } = useParams({ from: '/runs/$id' })
  return <View key={id} id={id} />
}

function View({ id }: { id: string }) {
  const t = useT()
  const go = useNavigate({ from: '/runs/$id' })
  const search = useSearch({ from: '/runs/$id' })
  const { execution, journal, graph, line, replies } = useLiveRun(id)
  const run = execution.data
  const over = run ? ended(run.state) : false
  const now = useNow(over ? null : 1000)
  const timeline = useMemo(() => foldJournal(journal.data ?? []), [journal.data])
  const tasks = useRunTasks(run, timeline)
  const panel = useRef<HTMLElement>(null)

  const waiting =
    timeline.steps.findLast((step) => step.status === 'waiting') ??
    timeline.steps.findLast((step) => step.status === 'failed')
  const chosen =
    search.step ?? (tasks[0] ? nodeOfItem(tasks[0]) : undefined) ?? waiting?.node ?? timeline.steps.at(-1)?.node ?? null
  const { buttons, sheets, ask } = useActions(run, graph.data, timeline, chosen)
  const tab = tabs.find((one) => one === search.tab) ?? 'timeline'
  const select = useCallback((step: string) => void go({ search: (old) => ({ ...old, step }), replace: true }), [go])
  const setTab = (next: string) => void go({ search: (old) => ({ ...old, tab: next }), replace: true })
  const [folded, setFolded] = useState(new Set<string>())
  const open = useMemo(
    () => new Set(timeline.steps.map((step) => step.node).filter((node) => !folded.has(node))),
    [timeline, folded],
  )
  const fold = (node: string, shut: boolean) => {
    const next = new Set(folded)
    if (shut) next.add(node)
    else next.delete(node)
    setFolded(next)
  }
  const rows = [
    ...timeline.steps.map((step) => step.node),
    ...(graph.data?.nodes ?? [])
      .filter((node) => node.status === 'pending' && !timeline.steps.some((step) => step.node === node.id))
      .map((node) => node.id),
  ]
  const step = (by: number) => {
    const at = chosen ? rows.indexOf(chosen) : -1
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))]
    if (next) {
      select(next)
      document.querySelector(`[data-step="${CSS.escape(next)}"]`)?.scrollIntoView?.({ block: 'nearest' })
    }
  }
  const here = t('This run')
  const titles: Record<(typeof tabs)[number], string> = {
    timeline: t('Timeline'),
    journal: t('Journal'),
    variables: t('Variables'),
    costs: t('Costs'),
    undo: t('Undo list'),
  }
  useCommands([
    { id: 'step.next', title: t('Next step'), group: here, keys: 'j', run: () => step(1) },
    { id: 'step.previous', title: t('Previous step'), group: here, keys: 'k', run: () => step(-1) },
    {
      id: 'step.fold',
      title: t('Fold the step'),
      group: here,
      keys: 'arrowleft',
      hidden: true,
      run: () => chosen && fold(chosen, true),
    },
    {
      id: 'step.unfold',
      title: t('Unfold the step'),
      group: here,
      keys: 'arrowright',
      hidden: true,
      run: () => chosen && fold(chosen, false),
    },
    ...tabs.map((one, i) => ({
      id: `tab.${one}`,
      title: titles[one],
      group: here,
      keys: String(i + 1),
      run: () => setTab(one),
    })),
    { id: 'runs.back', title: t('All runs'), group: t('Go to'), run: () => void go({ to: '/runs' }) },
  ])
  useEffect(() => {
    if (run) document.title = `${run.workflow_id} · Baton`
    return () => {
      document.title = 'Baton'
    }
  }, [run])

  if (execution.isError && !run) {
    const isMissing = execution.error instanceof ApiProblem && execution.error.status === 404
    return (
      <>
        <Top>
          <Link to="/runs">{t('Runs')}</Link>
          <Slash />
          <h1 className="mono">{id}</h1>
        </Top>
        {isMissing ? (
          <Empty
            action={
              <Link to="/runs" className="link">
                {t('All runs')}
              </Link>
            }
          >
            {t('There is no run of this id.')}
          </Empty>
        ) : (
          <Problem problem={execution.error} onRetry={() => void execution.refetch()} />
        )}
      </>
    )
  }

  const plan = run?.rollback_plan ?? []
  // The server lists every effect; before anything was undone the plan is clearer.
  const listed = run?.undone ?? []
  const undone = listed.some((one) => one.state === 'undone' || one.state === 'not_undone') ? listed : []
  return (
    <>
      <Top
        actions={
          <>
            <LiveLine line={line} over={over} />
            {buttons}
          </>
        }
      >
        <Link to="/runs">{t('Runs')}</Link>
        <Slash />
        <h1>{run?.workflow_id ?? '…'}</h1>
        <span className={`mono nowrap ${css.id}`} title={id}>
          …{id.slice(-12)}
        </span>
        <Copy text={() => id} />
        {run && <StateSign state={run.state} word={waitReason(run, tasks, t)} />}
      </Top>
      {!run || journal.isPending ? (
        <Skeleton rows={10} height={35} />
      ) : (
        <>
          <Facts run={run} timeline={timeline} now={now} />
          {execution.isError && <Problem problem={execution.error} onRetry={() => void execution.refetch()} />}
          <div className={css.columns}>
            <div className={css.graph}>
              {graph.data ? (
                <LiveGraph
                  graph={graph.data}
                  timeline={timeline}
                  selected={search.step ?? null}
                  onSelect={select}
                  now={now}
                />
              ) : graph.isError ? (
                <Problem problem={graph.error} onRetry={() => void graph.refetch()} />
              ) : (
                <Skeleton rows={6} height={71} />
              )}
            </div>
            <section className={css.middle} aria-label={t('What happened')}>
              <Tabs
                label={t('What happened')}
                selected={tab}
                onSelect={setTab}
                tabs={[
                  {
                    id: 'timeline',
                    title: titles.timeline,
                    body: () => (
                      <>
                        <Timeline
                          timeline={timeline}
                          graph={graph.data}
                          selected={chosen}
                          onSelect={select}
                          open={open}
                          onToggle={(node) => fold(node, open.has(node))}
                          now={now}
                          over={over}
                        />
                        {undone.length > 0 ? (
                          <section className={css.rollback}>
                            <h2>{t('What was undone')}</h2>
                            <Undone undone={undone} graph={graph.data} />
                          </section>
                        ) : (
                          <RollBackNow plan={plan} graph={graph.data} over={over} t={t} onAsk={() => ask('rollback')} />
                        )}
                      </>
                    ),
                  },
                  {
                    id: 'journal',
                    title: titles.journal,
                    count: run.entries,
                    body: () =>
                      journal.isError ? (
                        <Problem problem={journal.error} onRetry={() => void journal.refetch()} />
                      ) : (
                        <Journal entries={journal.data ?? []} live={!over} />
                      ),
                  },
                  {
                    id: 'variables',
                    title: titles.variables,
                    body: () => (
                      <div className={css.padded}>
                        <h3>{t('Input')}</h3>
                        <Json value={timeline.input} label={t('Input')} />
                        <h3>{t('Variables')}</h3>
                        <Json value={run.variables ?? {}} label={t('Variables')} />
                        {run.output !== null && run.output !== undefined && (
                          <>
                            <h3>{t('Output')}</h3>
                            <Json value={run.output} label={t('Output')} />
                          </>
                        )}
                      </div>
                    ),
                  },
                  {
                    id: 'costs',
                    title: titles.costs,
                    body: () => <Costs run={run} graph={graph.data} timeline={timeline} onSelect={select} />,
                  },
                  {
                    id: 'undo',
                    title: titles.undo,
                    count: plan.length,
                    body: () => (
                      <div className={css.padded}>
                        {undone.length > 0 && (
                          <>
                            <h2>{t('What was undone')}</h2>
                            <Undone undone={undone} graph={graph.data} />
                          </>
                        )}
                        <RollBackNow
                          plan={plan}
                          graph={graph.data}
                          over={over}
                          t={t}
                          onAsk={() => ask('rollback')}
                          plain
                        />
                      </div>
                    ),
                  },
                ]}
              />
            </section>
            <aside className={css.panel} aria-label={t('Step')} ref={panel}>
              {chosen ? (
                <StepPanel
                  run={run}
                  timeline={timeline}
                  graph={graph.data}
                  node={chosen}
                  tasks={tasks}
                  replies={replies}
                  now={now}
                />
              ) : (
                <Empty>{t('Choose a step to see what it was given and what it gave.')}</Empty>
              )}
            </aside>
          </div>
        </>
      )}
      {sheets}
    </>
  )
}

function RollBackNow({
  plan,
  graph,
  over,
  t,
  onAsk,
  plain,
}: {
  plan: readonly PlannedUndo[]
  graph: Graph | undefined
  over: boolean
  t: Translate
  onAsk: () => void
  plain?: boolean
}) {
  return (
    <section className={plain ? css.plain : css.rollback}>
      <div className="row wrap">
        <h2>{t('If you rolled back now')}</h2>
        {plan.length > 0 && <span className="dim sm">{t('in this order, each step recorded')}</span>}
        {plan.length > 0 && (
          <span className="push">
            <Button small icon="undo" onPress={onAsk}>
              {t('Roll back…')}
            </Button>
          </span>
        )}
      </div>
      {plan.length > 0 ? (
        <Plan plan={plan} graph={graph} />
      ) : (
        <p className="mid sm">
          {over ? t('Nothing is left to undo.') : t('Nothing to undo: the run has only read so far.')}
        </p>
      )}
    </section>
  )
}

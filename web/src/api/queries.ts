import { type QueryClient, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useMemo, useRef, useState } from 'react'
import { runGraph } from '../graph/run-graph'
import { callKey, type RunTimeline } from '../graph/timeline'
import { nodeOfItem, waitsOf } from '../graph/waits'
import { ask, id, query } from './client'
import { finished, follow, type Line } from './live'
import type { Schemas } from './openapi'
import type { Problem } from './problem'
import type { DrawnGraph, EffectId, Entry, Execution, Heads, Journal, Me, TaskItem, Version, Workflow } from './schema'

export interface RunsFilter {
  state?: string | undefined
  workflow?: string | undefined
}

const journalPage = 500
/** Maximum number of entries read: of a longer journal only the beginning is shown. */
const journalMost = 20_000
const poll_ms = 5_000

export const me = { queryKey: ['me'], queryFn: () => ask<Me>('me'), staleTime: Number.POSITIVE_INFINITY }

export const heads = (filter: RunsFilter, cursor?: string | null, limit = 50): Promise<Heads> =>
  ask<Heads>(`executions${query({ state: filter.state, workflow_id: filter.workflow, limit, cursor })}`)

export const workflows = {
  queryKey: ['workflows'],
  queryFn: () => ask<{ workflows: Version[] }>('workflows').then((page) => page.workflows),
}

export const workflow = (name: string) => ({
  queryKey: ['workflow', name],
  queryFn: () => ask<Workflow>(`workflows/${id(name)}`),
})

export const versions = (name: string) => ({
  queryKey: ['versions', name],
  queryFn: () => ask<Schemas['Versions']>(`workflows/${id(name)}/versions`).then((page) => page.versions),
  staleTime: 60_000,
  retry: false,
})
export const execution = (run: string) => ({
  queryKey: ['run', run],
  queryFn: () => ask<Execution>(`executions/${id(run)}`),
})

export const graph = (run: string) => ({
  queryKey: ['graph', run],
  queryFn: () => ask<DrawnGraph>(`executions/${id(run)}/graph`),
  staleTime: Number.POSITIVE_INFINITY,
  // A run that has not started yet has no version, and so no graph.
  refetchInterval: (query: { state: { data?: DrawnGraph | undefined } }) =>
    query.state.data?.nodes.length === 0 ? 1_000 : false,
})

export const desk = { queryKey: ['desk'], queryFn: () => ask<{ items: TaskItem[] }>('desk').then((page) => page.items) }

export const approvals = {
  queryKey: ['approvals'],
  queryFn: () => ask<{ items: TaskItem[] }>('approvals').then((page) => page.items),
  refetchInterval: poll_ms,
}

export const approval = (item: string) => ({
  queryKey: ['approval', item],
  queryFn: () => ask<TaskItem>(`approvals/${id(item)}`),
})

async function wholeJournal(run: string): Promise<Entry[]> {
  const entries: Entry[] = []
  let after: number | null = 0
  while (after !== null && entries.length < journalMost) {
    const page: Journal = await ask<Journal>(`executions/${id(run)}/journal${query({ after, limit: journalPage })}`)
    entries.push(...page.entries)
    after = page.entries.length > 0 ? (page.next_after ?? null) : null
  }
  return entries
}
export const journal = (run: string) => ({
  queryKey: ['journal', run],
  queryFn: () => wholeJournal(run),
  staleTime: Number.POSITIVE_INFINITY,
})

/** The first page of a journal, for the time split of a list row. */
export const beginning = (run: string, entries: number) => ({
  queryKey: ['beginning', run, entries],
  queryFn: () =>
    ask<Journal>(`executions/${id(run)}/journal${query({ after: 0, limit: journalPage })}`).then(
      (page) => page.entries,
    ),
  staleTime: Number.POSITIVE_INFINITY,
})

export const ended = (state: string): boolean => finished.has(state)

function appendEntry(client: QueryClient, run: string, entry: Entry): void {
  client.setQueryData<Entry[]>(journal(run).queryKey, (old) =>
    old && old.at(-1)?.seq !== undefined && entry.seq > (old.at(-1)?.seq ?? 0) ? [...old, entry] : (old ?? [entry]),
  )
}

const noReplies: ReadonlyMap<string, string> = new Map()

/** Drops the partial replies of the calls that an entry records. */
export function dropRecorded(replies: ReadonlyMap<string, string>, entry: Entry): ReadonlyMap<string, string> {
  if (replies.size === 0) return replies
  const pending = new Map(replies)
  for (const event of entry.events) {
    const effect = typeof event === 'string' ? undefined : Object.values(event)[0]?.effect
    if (effect) pending.delete(callKey(effect as EffectId))
  }
  return pending.size < replies.size ? pending : replies
}

/** A run with its journal, kept live: entries and states from the event stream update the cache. */
export function useLiveRun(run: string) {
  const client = useQueryClient()
  const runQuery = useQuery(execution(run))
  const journalQuery = useQuery(journal(run))
  const graphQuery = useQuery(graph(run))
  const [line, setLine] = useState<Line>({ state: 'closed' })
  const ready = journalQuery.isSuccess && runQuery.isSuccess
  const isOver = !!runQuery.data && ended(runQuery.data.state)
  // Partial replies of models by call; dropped when the entry with the whole reply arrives.
  const [replies, setReplies] = useState<ReadonlyMap<string, string>>(noReplies)
  const followed = useRef(false)
  useEffect(() => {
    if (!ready) return
    if (isOver) {
      // The response to an action may report the end before the entries arrive.
      if (followed.current)
        for (const key of [journal(run), execution(run)]) void client.invalidateQueries({ queryKey: key.queryKey })
      followed.current = false
      return setLine({ state: 'closed' })
    }
    followed.current = true
    setReplies(noReplies)
    const last = client.getQueryData<Entry[]>(journal(run).queryKey)?.at(-1)?.seq ?? 0
    return follow(run, last, {
      entry(entry) {
        appendEntry(client, run, entry)
        setReplies((old) => dropRecorded(old, entry))
      },
      reply: ({ effect, text = '', reset }) =>
        setReplies((old) => {
          const key = callKey(effect)
          return new Map(old).set(key, reset ? '' : (old.get(key) ?? '') + text)
        }),
      state(now) {
        client.setQueryData(execution(run).queryKey, (old: Execution | undefined) => ({ ...old, ...now }))
        for (const key of [execution(run).queryKey, approvals.queryKey, ['run-tasks', run]])
          void client.invalidateQueries({ queryKey: key })
      },
      line: setLine,
    })
  }, [client, run, ready, isOver])

  const lostFor = line.state === 'lost' ? line.since : null
  useEffect(() => {
    if (lostFor === null) return
    // After 30 s without a stream, fall back to polling.
    const timer = setInterval(() => {
      if (Date.now() - lostFor < 30_000) return
      for (const key of [execution(run), journal(run)]) void client.invalidateQueries({ queryKey: key.queryKey })
    }, poll_ms)
    return () => clearInterval(timer)
  }, [client, run, lostFor])

  const nodes = runQuery.data?.nodes
  const liveGraph = useMemo(
    () => graphQuery.data && runGraph(graphQuery.data, nodes ?? [], journalQuery.data ?? []),
    [graphQuery.data, nodes, journalQuery.data],
  )
  return { execution: runQuery, journal: journalQuery, graph: { ...graphQuery, data: liveGraph }, line, replies }
}

/** The open tasks of a run, from the task inbox, else from the run itself. */
export function useRunTasks(run: Execution | undefined, timeline: RunTimeline): TaskItem[] {
  const waits = !!run && !ended(run.state)
  const taskQuery = useQuery({
    queryKey: ['run-tasks', run?.execution_id],
    queryFn: async () =>
      (await ask<{ items: TaskItem[] }>('desk')).items.filter((item) => item.run === run?.execution_id),
    enabled: waits,
    refetchInterval: poll_ms * 2,
    retry: false,
  })
  const fromRun = useMemo(() => (run && waits ? waitsOf(run, timeline) : []), [run, waits, timeline])
  if (!waits) return []
  // Lists omit `approved_by`; take it from the run's journal.
  const approversOf = (item: TaskItem) =>
    fromRun.find((one) => one.kind === item.kind && nodeOfItem(one) === nodeOfItem(item))?.approved_by
  return taskQuery.data?.length
    ? taskQuery.data.map((item) => ({ ...item, approved_by: item.approved_by ?? approversOf(item) ?? [] }))
    : fromRun
}

export type Act =
  | { act: 'pause' | 'resume' | 'compensate' }
  | { act: 'cancel'; compensate: boolean }
  | { act: 'retry'; same_version: boolean }
  | { act: 'signal'; message: string }
  | { act: 'answer'; to: string; form: unknown }
  | { act: 'answer'; to: string; approve: boolean; note: string }
  | { act: 'resolve'; effect: string; became: { done: unknown } | 'not_done' | 'repeat' }

/** Sends an action on a run; `wait_s` is how long the response may wait for the run to settle. */
export async function act(run: string, what: Act, wait_s = 5): Promise<Execution> {
  const { act: verb, ...body } = what
  return ask<Execution>(`executions/${id(run)}/${verb}`, {
    body,
    headers: { ...idempotencyHeader(), prefer: `wait=${wait_s}` },
  })
}

export interface Fork {
  /** The step it starts at, as named in the journal. */
  node_id: string
  variables: Record<string, unknown>
  owns_undo: boolean
}

/** Forks a run; responds at once, so that the new run can be followed. */
export const fork = (run: string, body: Fork): Promise<Execution> =>
  ask<Execution>(`executions/${id(run)}/fork`, { body, headers: { ...idempotencyHeader(), prefer: 'wait=0' } })

/** An idempotency key for one request. Uses `getRandomValues`, which also works without TLS. */
export const idempotencyHeader = (): Record<string, string> => ({
  'idempotency-key': Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join(''),
})

export function useAct(run: string) {
  const client = useQueryClient()
  return useMutation<Execution, Problem, Act>({
    mutationFn: (what) => act(run, what),
    onSuccess(now) {
      client.setQueryData(execution(run).queryKey, (old: Execution | undefined) => ({ ...old, ...now }))
      for (const key of [['run', run], ['graph', run], ['run-tasks', run], ['approvals']])
        void client.invalidateQueries({ queryKey: key })
    },
  })
}

export interface Decision {
  item: TaskItem
  approve: boolean
  reason: string
}

export function useDecide() {
  const client = useQueryClient()
  return useMutation<unknown, Problem, Decision>({
    mutationFn: ({ item, approve, reason }) =>
      item.to
        ? act(item.run, { act: 'answer', to: item.to, approve, note: reason })
        : ask(`approvals/${id(item.id)}/${approve ? 'approve' : 'reject'}`, {
            body: { reason },
            headers: { ...idempotencyHeader(), prefer: 'wait=5' },
          }),
    onSettled(_said, _problem, { item }) {
      for (const key of [
        ['approvals'],
        ['approval', item.id],
        ['run', item.run],

        ['run-tasks', item.run],
      ])
        void client.invalidateQueries({ queryKey: key })
    },
  })
}

/** Starts a run; responds at once, the page follows it by its events. */
export const execute = (name: string, input: Record<string, unknown>): Promise<Execution> =>
  ask<Execution>('workflows/execute', {
    body: { workflow_id: name, input_data: input, context: {} },
    headers: { ...idempotencyHeader(), prefer: 'wait=0' },
  })

import { type QueryClient, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useMemo, useRef, useState } from 'react'
import { runGraph } from '../graph/run-graph'
import { callKey, type RunTimeline } from '../graph/timeline'
import { nodeOfItem, waitsOf } from '../graph/waits'
import { ask, id, query } from './client'
import { finished, follow, type Line } from './live'
import type { Schemas } from './openapi'
import type { Problem } from './problem'
import type { DeskItem, DrawnGraph, EffectId, Entry, Execution, Heads, Journal, Me, Version, Workflow } from './schema'

export interface RunsFilter {
  state?: string | undefined
  workflow?: string | undefined
}

const journalPage = 500
/** Of a longer journal the rest is not read: a run that ended so far on shows its beginning. */
const journalMost = 20_000
const poll_ms = 5_000

export const me = { queryKey: ['me'], queryFn: () => ask<Me>('me'), staleTime: Number.POSITIVE_INFINITY }

export const heads = (filter: RunsFilter, cursor?: string | null, limit = 50): Promise<Heads> =>
  ask<Heads>(`executions${query({ state: filter.state, workflow_id: filter.workflow, limit, cursor })}`)

export const workflows = {
  queryKey: ['workflows'],
  queryFn: () => ask<{ workflows: Version[] }>('workflows').then((said) => said.workflows),
}

export const workflow = (name: string) => ({
  queryKey: ['workflow', name],
  queryFn: () => ask<Workflow>(`workflows/${id(name)}`),
})

export const versions = (name: string) => ({
  queryKey: ['versions', name],
  queryFn: () => ask<Schemas['Versions']>(`workflows/${id(name)}/versions`).then((said) => said.versions),
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
  // A run that nobody has begun yet is on no version, and has no drawing.
  refetchInterval: (query: { state: { data?: DrawnGraph | undefined } }) =>
    query.state.data?.nodes.length === 0 ? 1_000 : false,
})

export const desk = { queryKey: ['desk'], queryFn: () => ask<{ items: DeskItem[] }>('desk').then((said) => said.items) }

export const approvals = {
  queryKey: ['approvals'],
  queryFn: () => ask<{ items: DeskItem[] }>('approvals').then((said) => said.items),
  refetchInterval: poll_ms,
}

export const approval = (item: string) => ({
  queryKey: ['approval', item],
  queryFn: () => ask<DeskItem>(`approvals/${id(item)}`),
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

/** The first of a journal, for a bar that says who held the work; of a longer one, how it began. */
export const beginning = (run: string, entries: number) => ({
  queryKey: ['beginning', run, entries],
  queryFn: () =>
    ask<Journal>(`executions/${id(run)}/journal${query({ after: 0, limit: journalPage })}`).then(
      (said) => said.entries,
    ),
  staleTime: Number.POSITIVE_INFINITY,
})

export const ended = (state: string): boolean => finished.has(state)

function appendEntry(client: QueryClient, run: string, entry: Entry): void {
  client.setQueryData<Entry[]>(journal(run).queryKey, (old) =>
    old && old.at(-1)?.seq !== undefined && entry.seq > (old.at(-1)?.seq ?? 0) ? [...old, entry] : (old ?? [entry]),
  )
}

const nothingSaid: ReadonlyMap<string, string> = new Map()

/** What is still being said, once this is recorded: a call that an entry tells of has said it, or begins anew. */
export function dropRecorded(said: ReadonlyMap<string, string>, entry: Entry): ReadonlyMap<string, string> {
  if (said.size === 0) return said
  const left = new Map(said)
  for (const event of entry.events) {
    const effect = typeof event === 'string' ? undefined : Object.values(event)[0]?.effect
    if (effect) left.delete(callKey(effect as EffectId))
  }
  return left.size < said.size ? left : said
}

/** A run with its journal, kept live: entries and states patch the cache as the server says them. */
export function useLiveRun(run: string) {
  const client = useQueryClient()
  const shown = useQuery(execution(run))
  const told = useQuery(journal(run))
  const drawn = useQuery(graph(run))
  const [line, setLine] = useState<Line>({ state: 'closed' })
  const ready = told.isSuccess && shown.isSuccess
  const over = !!shown.data && ended(shown.data.state)
  // What models are saying, by call; whole once its entry has come, and told no more.
  const [said, setSaid] = useState<ReadonlyMap<string, string>>(nothingSaid)
  const followed = useRef(false)
  useEffect(() => {
    if (!ready) return
    if (over) {
      // Who acted may have been told the end before its entries came.
      if (followed.current)
        for (const key of [journal(run), execution(run)]) void client.invalidateQueries({ queryKey: key.queryKey })
      followed.current = false
      return setLine({ state: 'closed' })
    }
    followed.current = true
    setSaid(nothingSaid)
    const last = client.getQueryData<Entry[]>(journal(run).queryKey)?.at(-1)?.seq ?? 0
    return follow(run, last, {
      entry(entry) {
        appendEntry(client, run, entry)
        setSaid((old) => dropRecorded(old, entry))
      },
      spoken: ({ effect, text = '', reset }) =>
        setSaid((old) => {
          const key = callKey(effect)
          return new Map(old).set(key, reset ? '' : (old.get(key) ?? '') + text)
        }),
      state(now) {
        client.setQueryData(execution(run).queryKey, (old: Execution | undefined) => ({ ...old, ...now }))
        for (const key of [execution(run).queryKey, approvals.queryKey, ['desk-of', run]])
          void client.invalidateQueries({ queryKey: key })
      },
      line: setLine,
    })
  }, [client, run, ready, over])

  const lostFor = line.state === 'lost' ? line.since : null
  useEffect(() => {
    if (lostFor === null) return
    // A line that stays lost for 30 s is replaced by asking.
    const timer = setInterval(() => {
      if (Date.now() - lostFor < 30_000) return
      for (const key of [execution(run), journal(run)]) void client.invalidateQueries({ queryKey: key.queryKey })
    }, poll_ms)
    return () => clearInterval(timer)
  }, [client, run, lostFor])

  const nodes = shown.data?.nodes
  const asDrawn = useMemo(
    () => drawn.data && runGraph(drawn.data, nodes ?? [], told.data ?? []),
    [drawn.data, nodes, told.data],
  )
  return { execution: shown, journal: told, graph: { ...drawn, data: asDrawn }, line, said }
}

/** What of this run waits for people: as the desk tells it, or else as the run does. */
export function useDeskOf(run: Execution | undefined, story: RunTimeline): DeskItem[] {
  const waits = !!run && !ended(run.state)
  const asked = useQuery({
    queryKey: ['desk-of', run?.execution_id],
    queryFn: async () =>
      (await ask<{ items: DeskItem[] }>('desk')).items.filter((item) => item.run === run?.execution_id),
    enabled: waits,
    refetchInterval: poll_ms * 2,
    retry: false,
  })
  const told = useMemo(() => (run && waits ? waitsOf(run, story) : []), [run, waits, story])
  if (!waits) return []
  // A list leaves out who has said yes; the run's own journal knows.
  const given = (item: DeskItem) =>
    told.find((one) => one.kind === item.kind && nodeOfItem(one) === nodeOfItem(item))?.approved_by
  return asked.data?.length
    ? asked.data.map((item) => ({ ...item, approved_by: item.approved_by ?? given(item) ?? [] }))
    : told
}

export type Act =
  | { act: 'pause' | 'resume' | 'compensate' }
  | { act: 'cancel'; compensate: boolean }
  | { act: 'retry'; same_version: boolean }
  | { act: 'signal'; message: string }
  | { act: 'answer'; to: string; form: unknown }
  | { act: 'answer'; to: string; approve: boolean; note: string }
  | { act: 'resolve'; effect: string; became: { done: unknown } | 'not_done' | 'repeat' }

/** Done in a run's name; `wait_s` is how long the answer may wait until the run rests. */
export async function act(run: string, what: Act, wait_s = 5): Promise<Execution> {
  const { act: verb, ...body } = what
  return ask<Execution>(`executions/${id(run)}/${verb}`, {
    body,
    headers: { ...idempotencyHeader(), prefer: `wait=${wait_s}` },
  })
}

export interface Fork {
  /** The step it begins at, as the journal names it. */
  node_id: string
  variables: Record<string, unknown>
  owns_undo: boolean
}

/** A new run, from another's past; answered at once, so that it can be watched. */
export const fork = (run: string, body: Fork): Promise<Execution> =>
  ask<Execution>(`executions/${id(run)}/fork`, { body, headers: { ...idempotencyHeader(), prefer: 'wait=0' } })

/** So that a request that is sent twice acts once. Random bytes are to be had also where the page came without TLS. */
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
      for (const key of [['run', run], ['graph', run], ['desk-of', run], ['approvals']])
        void client.invalidateQueries({ queryKey: key })
    },
  })
}

export interface Decision {
  item: DeskItem
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

        ['desk-of', item.run],
      ])
        void client.invalidateQueries({ queryKey: key })
    },
  })
}

/** Begins a run and answers at once: the page follows it by its events, it need not wait. */
export const execute = (name: string, input: Record<string, unknown>): Promise<Execution> =>
  ask<Execution>('workflows/execute', {
    body: { workflow_id: name, input_data: input, context: {} },
    headers: { ...idempotencyHeader(), prefer: 'wait=0' },
  })

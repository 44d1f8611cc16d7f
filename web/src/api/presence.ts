import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { ask, id } from './client'
import { inbox } from './conversation'
import { Problem } from './problem'
import { me } from './queries'
import type { HumanAgent, Presence } from './schema'

const poll_ms = 5_000
/** The server records a heartbeat at most once a minute (a fifth of its five-minute timeout). */
const heartbeat_ms = 60_000
const activityEvents = ['pointerdown', 'pointermove', 'keydown', 'wheel'] as const

/** The human agent of this key; `null` if it has none. */
const ownAgentQuery = (person: string) => ({
  queryKey: ['own-agent', person],
  queryFn: () =>
    ask<HumanAgent>(`human-agents/${id(person)}`).catch((error) => {
      if (error instanceof Problem && error.status === 404) return null
      throw error
    }),
  refetchInterval: (query: { state: { data?: HumanAgent | null | undefined; error: Error | null } }) =>
    query.state.data && !query.state.error ? poll_ms : poll_ms * 6,
})

export function useOwnAgent(): HumanAgent | null | undefined {
  const self = useQuery(me)
  return useQuery({ ...ownAgentQuery(self.data?.name ?? ''), enabled: !!self.data, retry: false }).data
}

const put = (person: string, status: Presence) =>
  ask<HumanAgent>(`human-agents/${id(person)}/presence`, { method: 'PUT', body: { status } })

/** Requests are serialised, so that the last one wins. */
const scope = { id: 'presence' }

/** Sets one's own presence. Optimistic: rolled back where the server refuses. */
export function usePresence(person: string) {
  const client = useQueryClient()
  const { queryKey } = ownAgentQuery(person)
  return useMutation<HumanAgent, Problem, Presence, { before: HumanAgent | null | undefined }>({
    scope,
    mutationFn: (status) => put(person, status),
    async onMutate(status) {
      await client.cancelQueries({ queryKey })
      const before = client.getQueryData<HumanAgent | null>(queryKey)
      client.setQueryData<HumanAgent | null>(queryKey, (old) => old && { ...old, status })
      return { before }
    },
    onError: (_problem, _status, context) => client.setQueryData(queryKey, context?.before),
    onSuccess: (now) => client.setQueryData(queryKey, now),
    onSettled: () => {
      for (const key of [queryKey, inbox.queryKey]) void client.invalidateQueries({ queryKey: key })
    },
  })
}

/** Sends heartbeats while the user is active; the server sets an agent without them offline. */
export function usePresenceHeartbeat(): void {
  const client = useQueryClient()
  const agent = useOwnAgent()
  const latest = useRef(agent)
  latest.current = agent
  // No error handling: a failure shows in the next poll.
  const { mutate } = useMutation({
    scope,
    mutationFn: async (person: string) => {
      const now = client.getQueryData<HumanAgent | null>(ownAgentQuery(person).queryKey)
      // Do not bring an offline agent back: they have to do that themselves.
      if (now && now.status !== 'offline') await put(person, now.status)
    },
  })
  useEffect(() => {
    let lastSent = Number.NEGATIVE_INFINITY
    const onActivity = () => {
      const current = latest.current
      if (!current || current.status === 'offline' || Date.now() - lastSent < heartbeat_ms) return
      lastSent = Date.now()
      mutate(current.id)
    }
    for (const event of activityEvents) addEventListener(event, onActivity, { passive: true })
    return () => {
      for (const event of activityEvents) removeEventListener(event, onActivity)
    }
  }, [mutate])
}

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { ask, id } from './client'
import { inbox } from './conversation'
import { Problem } from './problem'
import { me } from './queries'
import type { HumanAgent, Presence } from './schema'

const poll_ms = 5_000
/** The desk writes a sign of life down a fifth of five minutes apart at the least: more often says no more. */
const sign_ms = 60_000
const signs = ['pointerdown', 'pointermove', 'keydown', 'wheel'] as const

/** Who this key is at the desk; `null` where it is nobody of it. */
const seat = (person: string) => ({
  queryKey: ['seat', person],
  queryFn: () =>
    ask<HumanAgent>(`human-agents/${id(person)}`).catch((error) => {
      if (error instanceof Problem && error.status === 404) return null
      throw error
    }),
  refetchInterval: (query: { state: { data?: HumanAgent | null | undefined; error: Error | null } }) =>
    query.state.data && !query.state.error ? poll_ms : poll_ms * 6,
})

export function useOwnAgent(): HumanAgent | null | undefined {
  const who = useQuery(me)
  return useQuery({ ...seat(who.data?.name ?? ''), enabled: !!who.data, retry: false }).data
}

const put = (person: string, status: Presence) =>
  ask<HumanAgent>(`human-agents/${id(person)}/presence`, { method: 'PUT', body: { status } })

/** One after another, so that what was said last is what stays. */
const scope = { id: 'presence' }

/** Says of oneself whether one is there. It is shown at once, and taken back where the server says no. */
export function usePresence(person: string) {
  const client = useQueryClient()
  const { queryKey } = seat(person)
  return useMutation<HumanAgent, Problem, Presence, { before: HumanAgent | null | undefined }>({
    scope,
    mutationFn: (status) => put(person, status),
    async onMutate(status) {
      await client.cancelQueries({ queryKey })
      const before = client.getQueryData<HumanAgent | null>(queryKey)
      client.setQueryData<HumanAgent | null>(queryKey, (old) => old && { ...old, status })
      return { before }
    },
    onError: (_problem, _status, kept) => client.setQueryData(queryKey, kept?.before),
    onSuccess: (now) => client.setQueryData(queryKey, now),
    onSettled: () => {
      for (const key of [queryKey, inbox.queryKey]) void client.invalidateQueries({ queryKey: key })
    },
  })
}

/** Whoever is not heard of for long is offline to the desk, though they only read: while somebody moves here, it is told. */
export function usePresenceHeartbeat(): void {
  const client = useQueryClient()
  const here = useOwnAgent()
  const latest = useRef(here)
  latest.current = here
  // Where it is not heard, the desk's own word says so soon.
  const { mutate } = useMutation({
    scope,
    mutationFn: async (person: string) => {
      const now = client.getQueryData<HumanAgent | null>(seat(person).queryKey)
      // Whoever is offline said so, or was not heard of: to be there again is theirs to say.
      if (now && now.status !== 'offline') await put(person, now.status)
    },
  })
  useEffect(() => {
    let told = Number.NEGATIVE_INFINITY
    const moved = () => {
      const seated = latest.current
      if (!seated || seated.status === 'offline' || Date.now() - told < sign_ms) return
      told = Date.now()
      mutate(seated.id)
    }
    for (const sign of signs) addEventListener(sign, moved, { passive: true })
    return () => {
      for (const sign of signs) removeEventListener(sign, moved)
    }
  }, [mutate])
}

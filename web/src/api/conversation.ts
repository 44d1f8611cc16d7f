import { type QueryClient, useMutation, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { ask, id, query } from './client'
import { listen, type Line as Wire } from './live'
import type { Schemas } from './openapi'
import { Problem } from './problem'
import { idempotencyHeader } from './queries'
import type { Exactly } from './schema'

export type TalkState =
  | 'new'
  | 'ai_processing'
  | 'finished'
  | 'handover'
  | 'pending_human'
  | 'human_active'
  | 'resolved'
  | 'back_to_ai'

export type Trigger =
  | 'confidence_threshold'
  | 'explicit_request'
  | 'agent_decision'
  | 'error_threshold'
  | 'budget'
  | 'failed_compensation'
  | 'person'

/** A conversation with a customer, as lists show it. */
export type TalkHead = Exactly<Schemas['Conversation'], { state: TalkState; owner: 'ai' | 'person' | 'nobody' }>

export type InboxConversation = Exactly<TalkHead, { handover_context?: Handover | null }>

/** What goes along to whoever takes over. */
export interface Handover {
  trigger: Trigger
  reason: string
  summary: string
  skills: string[]
  tried: { what: string; kind: string; outcome: string; error?: string }[]
  pending_approvals: string[]
  /** Lines there were by then. */
  lines: number
  confidence?: number
  suggested_reply?: string
}

/** One line of what was said. */
export type Line = Exactly<Schemas['Message'], { from: 'customer' | 'ai' | 'person' | 'note' | 'suggestion' }>

const poll_ms = 5_000
const listMost = 100
const linesPage = 500
/** Of a longer conversation the rest is not read. */
const linesMost = 5_000

const heads = (which: { status?: string; state?: TalkState }) =>
  ask<{ conversations: TalkHead[] }>(`conversations${query({ ...which, limit: listMost })}`).then(
    (said) => said.conversations,
  )

/** What people have, and what waits for them. */
export const inbox = {
  queryKey: ['inbox', 'open'],
  queryFn: () => heads({ status: 'escalated' }),
  // What a server does not have, or a key may not see, is not asked for again and again.
  refetchInterval: (query: { state: { error: Error | null } }) =>
    query.state.error instanceof Problem && query.state.error.status < 500 && query.state.error.status >= 400
      ? false
      : poll_ms,
}

export const resolved = { queryKey: ['inbox', 'resolved'], queryFn: () => heads({ state: 'resolved' }) }

export const talk = (of: string) => ({
  queryKey: ['talk', of],
  queryFn: () => ask<InboxConversation>(`conversations/${id(of)}`),
})

export const lines = (of: string) => ({
  queryKey: ['lines', of],
  queryFn: async () => {
    const said: Line[] = []
    let after: number | null = 0
    while (after !== null && said.length < linesMost) {
      const page: Exactly<Schemas['Messages'], { messages: Line[] }> = await ask(
        `conversations/${id(of)}/messages${query({ after, limit: linesPage })}`,
      )
      said.push(...page.messages)
      after = page.messages.length > 0 ? (page.next_after ?? null) : null
    }
    return said
  },
  staleTime: Number.POSITIVE_INFINITY,
})

export type ConversationAction =
  | { act: 'posts'; text: string; number: number }
  | { act: 'notes'; text: string }
  | { act: 'take-over' | 'resolve' | 'reopen' }
  | { act: 'give-back'; note: string }

/** Done to a conversation in the key's name. Nothing is shown as done before the server says so. */
export function useConversationAction(of: string) {
  const client = useQueryClient()
  return useMutation<InboxConversation, Problem, ConversationAction>({
    mutationFn: ({ act, ...body }) =>
      ask<InboxConversation>(`conversations/${id(of)}/${act}`, {
        body,
        headers: { ...idempotencyHeader(), prefer: 'wait=5' },
      }),
    onSettled: () => {
      for (const key of [['talk', of], ['lines', of], ['inbox']]) void client.invalidateQueries({ queryKey: key })
    },
  })
}

/** What is told again after a break is said once. */
function hear(client: QueryClient, of: string, line: Line): void {
  client.setQueryData<Line[]>(lines(of).queryKey, (old) =>
    old && !old.some((one) => one.number === line.number) ? [...old, line].sort((a, b) => a.number - b.number) : old,
  )
}

/** Keeps a conversation as it goes: each line as it is said, and whose it is. */
export function useLiveTalk(of: string, ready: boolean): Wire {
  const client = useQueryClient()
  const [line, setLine] = useState<Wire>({ state: 'closed' })
  useEffect(() => {
    if (!ready) return
    let last: string | null = null
    return listen(`conversations/${id(of)}/events`, {
      last: () => last,
      hear(message) {
        last = message.id ?? last
        if (message.event === 'message') hear(client, of, JSON.parse(message.data) as Line)
        else if (message.event === 'state') {
          client.setQueryData(talk(of).queryKey, JSON.parse(message.data) as InboxConversation)
          void client.invalidateQueries({ queryKey: ['inbox'] })
        }
        return false
      },
      line: setLine,
    })
  }, [client, of, ready])
  return line
}

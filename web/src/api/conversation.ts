import { type QueryClient, useMutation, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { ask, id, query } from './client'
import { listen, type Line as Wire } from './live'
import type { Schemas } from './openapi'
import { Problem } from './problem'
import { idempotencyHeader } from './queries'
import type { Exactly } from './schema'

export type ConversationState =
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

/** A conversation with a customer, as in lists. */
export type ConversationHead = Exactly<
  Schemas['Conversation'],
  { state: ConversationState; owner: 'ai' | 'person' | 'nobody' }
>

export type InboxConversation = Exactly<ConversationHead, { handover_context?: Handover | null }>

/** The context passed on at a handover. */
export interface Handover {
  trigger: Trigger
  reason: string
  summary: string
  skills: string[]
  tried: { what: string; kind: string; outcome: string; error?: string }[]
  pending_approvals: string[]
  /** Number of lines at the handover. */
  lines: number
  confidence?: number
  suggested_reply?: string
}

/** One message of a conversation. */
export type Line = Exactly<Schemas['Message'], { from: 'customer' | 'ai' | 'person' | 'note' | 'suggestion' }>

const poll_ms = 5_000
const listMost = 100
const linesPage = 500
/** Maximum number of lines read. */
const linesMost = 5_000

const heads = (which: { status?: string; state?: ConversationState }) =>
  ask<{ conversations: ConversationHead[] }>(`conversations${query({ ...which, limit: listMost })}`).then(
    (page) => page.conversations,
  )

/** Conversations escalated to people: assigned and waiting. */
export const inbox = {
  queryKey: ['inbox', 'open'],
  queryFn: () => heads({ status: 'escalated' }),
  // Do not poll what the server does not have or the key may not see.
  refetchInterval: (query: { state: { error: Error | null } }) =>
    query.state.error instanceof Problem && query.state.error.status < 500 && query.state.error.status >= 400
      ? false
      : poll_ms,
}

export const resolved = { queryKey: ['inbox', 'resolved'], queryFn: () => heads({ state: 'resolved' }) }

export const conversationQuery = (of: string) => ({
  queryKey: ['conversation', of],
  queryFn: () => ask<InboxConversation>(`conversations/${id(of)}`),
})

export const lines = (of: string) => ({
  queryKey: ['lines', of],
  queryFn: async () => {
    const all: Line[] = []
    let after: number | null = 0
    while (after !== null && all.length < linesMost) {
      const page: Exactly<Schemas['Messages'], { messages: Line[] }> = await ask(
        `conversations/${id(of)}/messages${query({ after, limit: linesPage })}`,
      )
      all.push(...page.messages)
      after = page.messages.length > 0 ? (page.next_after ?? null) : null
    }
    return all
  },
  staleTime: Number.POSITIVE_INFINITY,
})

export type ConversationAction =
  | { act: 'posts'; text: string; number: number }
  | { act: 'notes'; text: string }
  | { act: 'take-over' | 'resolve' | 'reopen' }
  | { act: 'give-back'; note: string }

/** Sends an action on a conversation. The page is updated only after the server confirms. */
export function useConversationAction(of: string) {
  const client = useQueryClient()
  return useMutation<InboxConversation, Problem, ConversationAction>({
    mutationFn: ({ act, ...body }) =>
      ask<InboxConversation>(`conversations/${id(of)}/${act}`, {
        body,
        headers: { ...idempotencyHeader(), prefer: 'wait=5' },
      }),
    onSettled: () => {
      for (const key of [['conversation', of], ['lines', of], ['inbox']])
        void client.invalidateQueries({ queryKey: key })
    },
  })
}

/** Ignores lines repeated after a reconnect. */
function appendLine(client: QueryClient, of: string, line: Line): void {
  client.setQueryData<Line[]>(lines(of).queryKey, (old) =>
    old && !old.some((one) => one.number === line.number) ? [...old, line].sort((a, b) => a.number - b.number) : old,
  )
}

/** Keeps a conversation live: new lines, state and owner. */
export function useLiveConversation(of: string, ready: boolean): Wire {
  const client = useQueryClient()
  const [line, setLine] = useState<Wire>({ state: 'closed' })
  useEffect(() => {
    if (!ready) return
    let last: string | null = null
    return listen(`conversations/${id(of)}/events`, {
      last: () => last,
      onMessage(message) {
        last = message.id ?? last
        if (message.event === 'message') appendLine(client, of, JSON.parse(message.data) as Line)
        else if (message.event === 'state') {
          client.setQueryData(conversationQuery(of).queryKey, JSON.parse(message.data) as InboxConversation)
          void client.invalidateQueries({ queryKey: ['inbox'] })
        }
        return false
      },
      line: setLine,
    })
  }, [client, of, ready])
  return line
}

import type { EffectId, Entry, Event, Fault } from '../api/schema'
import type { Holder } from './holder'

/** One attempt of a call, from its dispatch to its result. */
export interface Attempt {
  from: number
  to: number | null
  fault: Fault | null
}

export interface Call {
  key: string
  node: string
  effect: EffectId
  what: 'model' | 'tool' | 'code' | 'step'
  /** The tool's name, or the agent's. */
  name: string
  undo: boolean
  class: string
  request: unknown
  answer: unknown
  fault: Fault | null
  attempts: Attempt[]
  cached: boolean
  cost_usd: number
  /** Its undo action, recorded with its result. */
  way_back: unknown
}

/** A period in which the step waited for a person, an event or a time. */
export interface StepWait {
  for: 'customer' | 'person' | 'approval' | 'timer' | 'signal' | 'child' | 'budget' | 'service'
  from: number
  to: number | null
  until: number | null
  message: string | null
  by: string[]
}

export type StepStatus = 'running' | 'waiting' | 'completed' | 'failed' | 'skipped' | 'cancelled'

export interface Step {
  /** The node's address: its id, prefixed by its scopes. */
  node: string
  name: string
  holder: Holder
  status: StepStatus
  from: number
  to: number | null
  calls: Call[]
  waits: StepWait[]
  input: unknown
  output: unknown
  fault: Fault | null
  cost_usd: number
  agent: string | null
  /** Indexes of the outgoing edges taken, from 0. */
  taken: readonly number[]
}

export interface Utterance {
  at: number
  author: 'customer' | 'agent' | 'end'
  text: string
}

/** The state folded from a journal: steps in start order, and the messages exchanged with the customer. */
export interface RunTimeline {
  steps: Step[]
  utterances: Utterance[]
  began: number | null
  ended: number | null
  input: unknown
  /** The customer, where the run was started for one. */
  customer: string | null
  /** The conversation it belongs to. */
  conversation: string | null
  /** The hash of its workflow version. */
  bundle: string | null
  /** Closed scopes: a node in them that has not started is skipped. */
  closed: Set<string>
}

const nano = 1e-9
const record = (value: unknown): Record<string, unknown> =>
  value && typeof value === 'object' ? (value as Record<string, unknown>) : {}
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const time = (value: unknown): number | null => (typeof value === 'number' ? value : null)

export function kindOf(event: Event): string {
  return typeof event === 'string' ? event : (Object.keys(event)[0] ?? '')
}
export function bodyOf(event: Event): Record<string, unknown> {
  return typeof event === 'string' ? {} : record(Object.values(event)[0])
}
/** The node of an event, if it has one. */
export function nodeOf(event: Event): string | null {
  const body = bodyOf(event)
  const effect = record(body.effect)
  return text(body.node) || text(effect.node) || text(record(body.call).node) || null
}

export const callKey = (effect: EffectId): string =>
  `${effect.node}#${effect.call ?? 0}${effect.role === 'undo' ? '/undo' : ''}`

export function foldJournal(entries: readonly Entry[]): RunTimeline {
  const steps = new Map<string, Step>()
  const calls = new Map<string, Call>()
  const timeline: RunTimeline = {
    steps: [],
    utterances: [],
    began: null,
    ended: null,
    input: null,
    customer: null,
    conversation: null,
    bundle: null,
    closed: new Set(),
  }

  const step = (node: string, holder: Holder, at: number): Step => {
    let found = steps.get(node)
    if (!found) {
      const name = node.split('/').at(-1) ?? node
      found = {
        node,
        name,
        holder,
        status: 'running',
        from: at,
        to: null,
        calls: [],
        waits: [],
        input: null,
        output: null,
        fault: null,
        cost_usd: 0,
        agent: null,
        taken: [],
      }
      steps.set(node, found)
      timeline.steps.push(found)
    }
    return found
  }
  const wait = (of: Step, reason: StepWait['for'], at: number, until: number | null, message: string | null = null) => {
    of.status = 'waiting'
    of.waits.push({ for: reason, from: at, to: null, until, message, by: [] })
  }
  const rest = (of: Step | undefined, at: number, by?: string) => {
    const open = of?.waits.findLast((one) => one.to === null)
    if (!of || !open) return
    open.to = at
    // The last of several approvals is recorded twice: as `approved` and in `unblocked`.
    if (by && !open.by.includes(by)) open.by.push(by)
    if (of.to === null) of.status = 'running'
  }
  const settle = (effect: EffectId, at: number, fault: Fault | null, again = false): Call | undefined => {
    const call = calls.get(callKey(effect))
    const attempt = call?.attempts.findLast((one) => one.to === null)
    if (call && attempt) {
      attempt.to = at
      attempt.fault = fault
      if (!again) call.fault = fault
    }
    return call
  }

  for (const entry of entries) {
    const at = Date.parse(entry.at)
    for (const event of entry.events) {
      const body = bodyOf(event)
      const effect = record(body.effect) as unknown as EffectId
      switch (kindOf(event)) {
        case 'started': {
          timeline.began ??= at
          timeline.input = body.input
          timeline.customer = text(record(body.caller).user_id) || null
          timeline.conversation = text(record(record(body.origin).conversation).conversation) || null
          timeline.bundle = text(body.bundle) || null
          const input = record(body.input)
          const first = ['message', 'customer_message', 'text', 'question', 'query']
            .map((name) => text(input[name]))
            .find(Boolean)
          if (first) timeline.utterances.push({ at, author: 'customer', text: first })
          break
        }
        case 'reopened':
          timeline.ended = null
          // A retry may continue on another version.
          timeline.bundle = text(record(body.retry).bundle) || timeline.bundle
          break
        case 'began': {
          const how = text(body.wait)
          const of = step(text(body.node), how === 'agent' ? 'agent' : how === 'human' ? 'person' : 'flow', at)
          of.to = null
          of.status = 'running'
          if (how === 'agent') {
            const task = record(body.task)
            of.input = { prompt: task.prompt, system: task.system }
            of.agent = text(record(task.agent).name) || null
          } else if (how === 'human') {
            of.input = { title: body.title, details: body.details, assignees: body.assignees, ask: body.ask }
            wait(of, 'person', at, time(body.deadline), text(body.title) || null)
          } else if (how === 'timer') wait(of, 'timer', at, time(body.until))
          else if (how === 'signal') wait(of, 'signal', at, time(body.deadline), text(body.name) || null)
          else if (how === 'child') {
            of.input = body.input
            wait(of, 'child', at, time(body.deadline), text(body.run) || null)
          } else if (how === 'each') of.input = body.items
          break
        }
        case 'scheduled': {
          const request = record(body.request)
          const [what, payload] = (Object.entries(request)[0] ?? ['step', {}]) as [Call['what'], unknown]
          const of = step(effect.node, what === 'tool' ? 'tool' : 'agent', at)
          const undo = effect.role === 'undo'
          const key = callKey(effect)
          const call: Call = calls.get(key) ?? {
            key,
            node: effect.node,
            effect,
            what,
            undo,
            name: text(record(payload).tool) || text(record(payload).agent),
            class: text(body.class),
            request: null,
            answer: null,
            fault: null,
            attempts: [],
            cached: false,
            cost_usd: 0,
            way_back: null,
          }
          call.request = what === 'tool' ? record(payload).arguments : payload
          call.attempts.push({ from: at, to: null, fault: null })
          call.fault = null
          if (!calls.has(key)) {
            calls.set(key, call)
            of.calls.push(call)
          }
          if (!undo) {
            of.to = null
            of.fault = null
            of.status = 'running'
            if (what === 'tool' && of.holder === 'tool') of.input = call.request
          }
          break
        }
        case 'done':
        case 'arrived_late': {
          const call = settle(effect, at, null)
          if (!call) break
          call.answer = Object.values(record(body.output))[0] ?? null
          call.cost_usd += (typeof body.cost === 'number' ? body.cost : 0) * nano
          call.cached = body.cached === true
          call.way_back = body.undo ?? null
          break
        }
        case 'not_done': {
          const again = time(body.again_at)
          const call = settle(effect, at, body.fault as Fault, again !== null)
          if (!call) break
          call.cost_usd += (typeof body.cost === 'number' ? body.cost : 0) * nano
          if (again !== null) call.attempts.push({ from: again, to: null, fault: null })
          break
        }
        case 'degraded':
          settle(effect, at, body.fault as Fault)
          break
        case 'doubted': {
          settle(effect, at, body.fault as Fault)
          const of = steps.get(effect.node)
          if (of && body.next === 'person') wait(of, 'person', at, null, text(record(body.fault).message) || null)
          break
        }
        case 'resolved':
          rest(steps.get(effect.node), at, text(body.by))
          break
        case 'blocked': {
          const [reason, more] = Object.entries(record(body.by))[0] ?? ['key', {}]
          const of = steps.get(effect.node)
          const attempt = calls.get(callKey(effect))?.attempts
          // The call was not dispatched: drop its attempt.
          if (attempt?.at(-1)?.to === null) attempt.pop()
          if (of)
            wait(
              of,
              reason === 'approval' ? 'approval' : reason === 'budget' ? 'budget' : 'service',
              at,
              time(record(more).until),
            )
          break
        }
        case 'approved':
          steps
            .get(effect.node)
            ?.waits.findLast((one) => one.to === null)
            ?.by.push(text(body.by))
          break
        case 'unblocked':
          rest(steps.get(effect.node), at, text(body.by))
          calls.get(callKey(effect))?.attempts.push({ from: at, to: null, fault: null })
          break
        case 'customer_asked': {
          const of = step(text(body.node), 'agent', at)
          wait(of, 'customer', at, time(body.deadline), text(body.question))
          timeline.utterances.push({ at, author: 'agent', text: text(body.question) })
          break
        }
        case 'signal_kept': {
          const message = text(record(record(body.signal).payload).text)
          if (message) timeline.utterances.push({ at, author: 'customer', text: message })
          break
        }
        case 'signal_taken':
          rest(steps.get(text(body.node)), at)
          break
        case 'answered': {
          const of = steps.get(text(body.node))
          rest(of, at, text(body.by))
          if (of) of.output = { by: body.by, decision: body.decision }
          break
        }
        case 'ended': {
          const how = body.how
          const kind = typeof how === 'string' ? how : kindOf(how as Event)
          if (kind === 'skipped') break
          const of = step(text(body.node), 'flow', at)
          rest(of, at)
          of.to = at
          of.taken = (body.taken ?? []) as number[]
          of.status =
            kind === 'failed' || kind === 'caught' ? 'failed' : kind === 'cancelled' ? 'cancelled' : 'completed'
          of.fault = (record(record(how)[kind]).fault as Fault | undefined) ?? null
          const output =
            kind === 'completed' ? record(record(how).completed).output : of.calls.findLast((c) => !c.undo)?.answer
          if (output !== undefined && of.fault === null) of.output = output
          for (const call of of.calls) for (const attempt of call.attempts) attempt.to ??= at
          break
        }
        case 'scope_opened':
          timeline.closed.delete(text(body.path))
          break
        case 'scope_closed':
          timeline.closed.add(text(body.path))
          break
        case 'finished': {
          timeline.ended = at
          const output = record(body.output)
          const message = text(output.text) || text(output.response) || text(record(body.fault).customer)
          if (message) timeline.utterances.push({ at, author: 'end', text: message })
          for (const one of timeline.steps)
            if (one.to === null) {
              rest(one, at)
              one.to = at
              one.status = 'cancelled'
            }
          break
        }
      }
    }
  }
  for (const one of timeline.steps) one.cost_usd = one.calls.reduce((sum, call) => sum + call.cost_usd, 0)
  return timeline
}

export interface HolderSpan {
  holder: Holder
  from: number
  to: number
  open: boolean
  waiting: boolean
}

/** The holders over time: every attempt and every wait, in start order. */
export function spans(timeline: RunTimeline, now: number): HolderSpan[] {
  const out: HolderSpan[] = []
  for (const step of timeline.steps) {
    for (const call of step.calls)
      for (const attempt of call.attempts) {
        if (attempt.from > now) continue
        out.push({
          holder: call.what === 'tool' ? 'tool' : 'agent',
          from: attempt.from,
          to: attempt.to ?? now,
          open: attempt.to === null,
          waiting: false,
        })
      }
    for (const wait of step.waits) {
      const people = wait.for === 'customer' || wait.for === 'person' || wait.for === 'approval'
      out.push({
        holder: people ? 'person' : 'flow',
        from: wait.from,
        to: wait.to ?? now,
        open: wait.to === null,
        waiting: true,
      })
    }
  }
  return out.sort((a, b) => a.from - b.from || a.to - b.to)
}

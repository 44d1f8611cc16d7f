/** The shapes of `/api/v1` that this page reads, by the API's document; told more exactly where the document says only
 * `string`, or leaves open what comes. Times are RFC 3339 unless a name says `_ms`. */
import type { Schemas } from './openapi'

/** A shape with some of its fields told more exactly: of a field that it has not, or has otherwise, nothing can be told. */
export type Exactly<T, More extends { [K in keyof More]: K extends keyof T ? T[K] : never }> = Omit<T, keyof More> &
  More

export type State =
  | 'created'
  | 'running'
  | 'waiting'
  | 'paused'
  | 'cancelling'
  | 'compensating'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'compensated'
  | 'timed_out'

export type Role = 'admin' | 'builder' | 'operator' | 'human_agent' | 'service'

export type Me = Exactly<Schemas['Me'], { role: Role }>

export type Head = Exactly<Schemas['Head'], { state: State }>

export type Heads = Exactly<Schemas['Executions'], { executions: Head[] }>

export interface Fault {
  code: string
  message: string
  customer?: string
  suggested_action?: string
}

export interface NodeState {
  node: string
  kind: string
  status: string
  duration_ms: number | null
  cost_usd: number
  error: string | null
}

export type PlannedUndo = Schemas['Planned']
export interface Undone {
  node: string
  tool: string
  state: string
  reason: string | null
}

/** A run alone: what the document says of it, what lists say of it, and what it has come to. */
export type Execution = Omit<Head, 'error' | keyof Schemas['Execution']> &
  Exactly<
    Omit<Schemas['Execution'], 'trace' | 'duration_ms' | 'desk'>,
    { state: State; error: Fault | null; undone: Undone[] | null }
  > & {
    duration_ms: number | null
    variables?: Record<string, unknown>
    nodes: NodeState[]
  }

export type DeskKind =
  | 'approval'
  | 'form'
  | 'doubt'
  | 'tool_approval'
  | 'not_undone'
  | 'question'
  | 'budget'
  | 'over_budget'
  | 'needs_key'

/** What of a form's schema this page can draw; what it cannot is asked for as JSON. */
export interface FieldSchema {
  type?: string | string[]
  title?: string
  description?: string
  enum?: unknown[]
  default?: unknown
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  format?: string
  pattern?: string
}

export interface FormSchema {
  type?: string
  properties?: Record<string, FieldSchema>
  required?: string[]
}

/** Something that waits for people. */
export type DeskItem = Exactly<
  Omit<Schemas['DeskItem'], 'opened_at' | 'deadline'>,
  {
    kind: DeskKind
    /** Of what is no run's, this page shows nothing. */
    run: string
    details: {
      node?: string
      tool?: string
      arguments?: Record<string, unknown>
      effect?: EffectId
      need?: number
      from?: string[]
      hash?: string
      account?: string
      on_deadline?: string
      asks?: { needed?: number; form?: FormSchema }
      assignees?: unknown
      details?: Record<string, unknown> | null
      [more: string]: unknown
    }
  }
> & {
  /** Where the run told it and not the desk: the node or the call that is answered. */
  to?: string
  /** What this key may do about it; nothing where the run told it and not the desk. */
  may?: string[] | null
  why_not?: string | null
  /** A list says RFC 3339, a run says milliseconds. */
  opened_at: string | number
  deadline?: string | number | null
}

export interface EffectId {
  node: string
  call?: number
  role?: string
  gen?: number
  [more: string]: unknown
}

export type Entry = Exactly<Schemas['Entry'], { events: Event[] }>

/** One key, the event's kind, over its fields; a kind without fields is the bare word. */
export type Event = string | { [kind: string]: Record<string, unknown> }

export type Journal = Exactly<Schemas['Journal'], { entries: Entry[] }>

/** `status` and what follows where a drawing was made of a run. */
type Drawn = Pick<Schemas['Node'], 'id' | 'kind'> &
  Partial<Omit<Schemas['Node'], 'bodies'>> &
  Partial<Pick<NodeState, 'status' | 'duration_ms' | 'cost_usd'>> & {
    bodies?: (DrawnGraph & { branch: string })[] | null
  }

/** A version's drawing as the API tells it. How far a run came stands in the run. */
export interface DrawnGraph {
  nodes: Drawn[]
  edges: (Schemas['Edge'] & { taken?: boolean })[]
}

export interface GraphNode {
  id: string
  kind: string
  name?: string
  calls?: string
  status: string
  duration_ms?: number | null
  cost_usd?: number | null
  /** Graphs inside it: a loop's, without a name; of a parallel node, one a branch. */
  bodies?: (Graph & { branch: string })[]
}

export interface GraphEdge {
  from: string
  to: string
  label?: string
  on_error: boolean
  taken: boolean
}

export interface Graph {
  nodes: GraphNode[]
  edges: GraphEdge[]
}

export type Version = Schemas['Version']

/** A workflow with the bundle of its version: the definition, and what it pins. */
export type Workflow = Exactly<
  Omit<Schemas['Workflow'], 'graph'>,
  { definition: { definition?: { input?: Record<string, unknown> | null } } | null }
> & { graph: DrawnGraph }

/** Somebody of the desk, and how much they have. */
export type Presence = 'online' | 'away' | 'offline'
export type HumanAgent = Exactly<Schemas['HumanAgent'], { status: Presence }>

/** The types of `/api/v1` that this page uses, from the OpenAPI document; narrowed where the document says only
 * `string` or leaves the value open. Times are RFC 3339 unless a name ends in `_ms`. */
import type { Schemas } from './openapi'

/** A type with some fields narrowed. A field that it does not have, or an incompatible type, is a compile error. */
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

/** A single run: the fields of the document and of lists, plus its nodes and variables. */
export type Execution = Omit<Head, 'error' | keyof Schemas['Execution']> &
  Exactly<
    Omit<Schemas['Execution'], 'trace' | 'duration_ms' | 'desk'>,
    { state: State; error: Fault | null; undone: Undone[] | null }
  > & {
    duration_ms: number | null
    variables?: Record<string, unknown>
    nodes: NodeState[]
  }

export type TaskKind =
  | 'approval'
  | 'form'
  | 'doubt'
  | 'tool_approval'
  | 'not_undone'
  | 'question'
  | 'budget'
  | 'over_budget'
  | 'needs_key'

/** The part of a form's schema this page can render; the rest is edited as JSON. */
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

/** A task that waits for a person. */
export type TaskItem = Exactly<
  Omit<Schemas['DeskItem'], 'opened_at' | 'deadline'>,
  {
    kind: TaskKind
    /** This page shows only tasks of runs. */
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
  /** Set where the item comes from the run: the node or the call that is answered. */
  to?: string
  /** The actions allowed to this key; absent where the item comes from the run. */
  may?: string[] | null
  why_not?: string | null
  /** RFC 3339 in lists, milliseconds from a run. */
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

/** One key, the event's kind, with its fields; a kind without fields is a plain string. */
export type Event = string | { [kind: string]: Record<string, unknown> }

export type Journal = Exactly<Schemas['Journal'], { entries: Entry[] }>

/** `status` and the fields after it are present where the graph is of a run. */
type NodeDrawing = Pick<Schemas['Node'], 'id' | 'kind'> &
  Partial<Omit<Schemas['Node'], 'bodies'>> &
  Partial<Pick<NodeState, 'status' | 'duration_ms' | 'cost_usd'>> & {
    bodies?: (DrawnGraph & { branch: string })[] | null
  }

/** The graph of a version, as returned by the API. The status of its nodes is in the run. */
export interface DrawnGraph {
  nodes: NodeDrawing[]
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
  /** Nested graphs: a loop's body without a name; of a parallel node, one for each branch. */
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

/** A workflow with the bundle of its version: the definition and the pinned dependencies. */
export type Workflow = Exactly<
  Omit<Schemas['Workflow'], 'graph'>,
  { definition: { definition?: { input?: Record<string, unknown> | null } } | null }
> & { graph: DrawnGraph }

/** A human agent's presence, and the agent with their load. */
export type Presence = 'online' | 'away' | 'offline'
export type HumanAgent = Exactly<Schemas['HumanAgent'], { status: Presence }>

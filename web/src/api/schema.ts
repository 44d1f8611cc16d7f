/** The shapes of `/api/v1` that this page reads. Names are the API's; times are RFC 3339 unless a name says `_ms`. */

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

export interface Me {
  key_id: string
  name: string
  role: Role
  tenant: string
  scripted: boolean
}

export interface Head {
  execution_id: string
  workflow_id: string
  status: string
  state: State
  compensated: boolean
  parent: string | null
  created_at: string
  started_at: string | null
  completed_at: string | null
  wakes_at: string | null
  duration_ms: number | null
  total_cost_usd: number
  error: string | null
  entries: number
}

export interface Heads {
  executions: Head[]
  next_cursor: string | null
}

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

export interface PlannedUndo {
  node: string
  tool: string
  undo: string
}

export interface Undone {
  node: string
  tool: string
  state: string
  reason: string | null
}

export interface Execution extends Omit<Head, 'error'> {
  error: Fault | null
  output: unknown
  outputs: Record<string, unknown>
  variables?: Record<string, unknown>
  nodes: NodeState[]
  waits_for?: Waits[]
  rollback_plan: PlannedUndo[]
  undone: Undone[] | null
  version?: string
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

/** Something a run waits for, as the run names it. */
export interface Waits {
  kind: string
  run: string
  node?: string
  effect?: string
  message?: string
  form?: unknown
  need?: number
  approved_by?: string[]
  from?: string[]
}

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

export interface DeskItem {
  id: string
  /** Where the run told it and not the desk: the node or the call that is answered. */
  to?: string
  kind: DeskKind
  title: string
  run: string
  /** A list says RFC 3339, a run says milliseconds. */
  opened_at: string | number
  deadline: string | number | null
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
  approved_by?: string[]
  asked_by?: string | null
}

export interface EffectId {
  node: string
  call?: number
  role?: string
  gen?: number
  [more: string]: unknown
}

export interface Entry {
  seq: number
  at: string
  events: Event[]
}

/** One key, the event's kind, over its fields; a kind without fields is the bare word. */
export type Event = string | { [kind: string]: Record<string, unknown> }

export interface Journal {
  entries: Entry[]
  /** What `after` takes for the next page. */
  next_after: number | null
}

/** A version's drawing as the API tells it. How far a run came stands in the run. */
export interface DrawnGraph {
  nodes: (Partial<Omit<GraphNode, 'bodies'>> & {
    id: string
    kind: string
    label?: string
    bodies?: (DrawnGraph & { branch: string })[]
  })[]
  edges: { from: string; to: string; label?: string | null; on_error: boolean; taken?: boolean }[]
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

export interface WorkflowHead {
  workflow: string
  revision: number
  label: string | null
  active: boolean
  created_at: string
}

export interface Workflow extends WorkflowHead {
  graph: DrawnGraph
  /** The bundle: the definition, and what it pins. */
  definition: { definition?: { input?: Record<string, unknown> | null } } | null
}

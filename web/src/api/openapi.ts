// By `npm run types` out of docs/reference/openapi.json; not by hand.
export interface Schemas {
  /** What is looked for. */
  ActionQuery: {
    /** 1 to 50; 10 unless told. */
    limit?: number | null
    query: string
  }
  Actions: {
    actions: Schemas['ComposioAction'][]
    /** Why a search is less than it could be. */
    degraded_reason?: string | null
    /** Nothing on the last page. */
    next_cursor?: string | null
  }
  Activate: {
    revision: number
  }
  Agent: Schemas['Card'] & {
    /** What defines it, as a file in `agents/` does. */
    definition: Record<string, unknown>
    /** It was made known over the API or the command line, and may be changed and forgotten. */
    is_registered: boolean
  }
  /** Work for one agent. */
  AgentTask: {
    /** As of a workflow that is executed. */
    context?: Record<string, unknown>
    /** What its prompt reads. */
    input_data?: Record<string, unknown>
    /** What it is asked; its own prompt unless told. */
    task?: string | null
  }
  Agents: {
    agents: Schemas['Card'][]
  }
  /** A key without its secret. */
  ApiKey: {
    created_at: string
    expires_at?: string | null
    id: string
    name: string
    per_minute?: number | null
    revoked_at?: string | null
    /** `admin`, `builder`, `operator`, `human_agent` or `service`. */
    role: string
    /** What of all that its role may it may; nothing: all of it. */
    scopes?: string[] | null
    /** `good`, `expired` or `revoked`. */
    state: string
    tenant: string
  }
  ApiKeys: {
    keys: Schemas['ApiKey'][]
    /** Nothing on the last page. */
    next_cursor?: string | null
  }
  Apps: {
    apps: Schemas['ComposioApp'][]
  }
  /** A row of the trail. */
  AuditRow: {
    action: string
    action_type: string
    agent_name?: string | null
    at: string
    company_id: string
    conversation_id?: string | null
    cost_usd: number
    details: unknown
    duration_ms: number
    erased_at?: string | null
    error_code?: string | null
    /** Over the row and the hash before it. */
    hash: string
    /** From 1, without a gap. */
    seq: number
    /** `success`, `error` or `compensated`. */
    status: string
    /** What is about a person is gone from it once it was erased. */
    user_id?: string | null
  }
  /** What became of a call in doubt. */
  Became: {
    /** It acted, and answered this. */
    done: unknown
  } | 'not_done' | 'repeat'
  /** A conversation to begin. */
  Begin: {
    /** `web`, `mobile`, `api`, or another word; `api` unless told. */
    channel?: string | null
    /** What its runs find as their context: `language`, `zone`, and whatever the workflow reads. */
    context?: Record<string, unknown>
    /** Within how long a person must have answered then; as the desk's settings say unless told. */
    first_response_ms?: number | null
    /** What the customer says first. */
    message?: string | null
    priority?: 'low' | 'normal' | 'high' | 'urgent' | null
    /** Within how long it must be resolved then; as the desk's settings say unless told. */
    resolution_ms?: number | null
    /** Who the customer is. */
    user_id?: string | null
    /** The workflow whose runs answer; each begins on the version that is active then. */
    workflow_id: string
  }
  /** Limits of what may be spent: US dollars, or `"unlimited"`. What is left out is as the settings' files have it. */
  BudgetLimits: {
    daily_usd?: Schemas['Dollars'] | null
    hourly_usd?: Schemas['Dollars'] | null
    monthly_usd?: Schemas['Dollars'] | null
    on_exceeded?: 'refuse' | 'pause' | null
  }
  /** One budget in one window. */
  BudgetLine: {
    begins_at: string
    /** For calls under way, and ahead of need. */
    held_usd: number
    /** Nothing for the tenant's own. */
    key_id?: string | null
    left_usd?: number | null
    /** Nothing where it is unlimited. */
    limit_usd?: number | null
    /** `refuse` or `pause`. */
    on_exceeded: string
    resets_at: string
    /** The setting that limits it. */
    setting?: string | null
    spent_usd: number
    tenant: string
    /** `hour`, `day` or `month`. */
    window: string
  }
  Budgets: {
    budgets: Schemas['BudgetLine'][]
  }
  Cancel: {
    /** Undo what it did, newest first. */
    compensate?: boolean
  }
  /** An agent, and how it has done. */
  Card: {
    /** Of its own tasks; nothing before the first. */
    avg_latency_ms?: number | null
    capabilities: string[]
    /** `low`, `medium` or `high`. */
    cost_tier: string
    /** The model it is asked with by name, else its profile. */
    default_model: string
    description: string
    error_rate: number
    fallback?: string | null
    is_healthy: boolean
    name: string
    supported_models: string[]
    tasks: number
    /** `simple`, `reasoning`, `code` or `custom`. */
    type: string
  }
  /** Which tools a message needs. */
  Chosen: {
    error_details?: string | null
    execution_id: string
    reasoning?: string | null
    /** What calls of the tools that were left out would have cost. */
    saved_cost_usd?: number | null
    /** Of the run that chooses. */
    state: string
    tool_requests?: Record<string, unknown>[] | null
    /** None where it needs none; nothing as long as nobody has chosen. */
    tools?: string[] | null
    waits_for?: Schemas['Waits'][] | null
  }
  CircuitList: {
    circuits: Schemas['CircuitState'][]
  }
  /** A model's circuit as it was last said to be. */
  CircuitState: {
    by: string
    model: string
    reason: string
    since: string
    /** `closed`, `open` or `half_open`: an open one whose time is over lets one call find out. */
    state: string
    /** Nothing where only a person closes it. */
    until?: string | null
  }
  Collection: {
    /** `knowledge`, `conversations` or `executions`. */
    collection: string
    documents: number
    embedder: string
    pieces: number
  }
  /** What an app can do. It is the tool `APP.ACTION`. */
  ComposioAction: {
    action_name: string
    app_name: string
    description: string
    display_name: string
    /** What is said of each parameter by name, with whether it is `required`. */
    parameters: Record<string, unknown>
    /** Whether it needs a connected account. */
    requires_auth: boolean
  }
  /** An app that the settings choose. */
  ComposioApp: {
    available_actions: string[]
    category: string
    /** Empty where Composio cannot be asked. */
    description: string
    display_name: string
    /** Somebody has connected an account that performs actions. */
    is_connected: boolean
    logo_url?: string | null
    name: string
    total_actions: number
  }
  /** The account that one entity connected to one app. */
  ComposioConnection: {
    /** Composio's id of the account. */
    account: string
    app: string
    checked_at: number
    /** Milliseconds since 1970, as `checked_at`. */
    connected_at: number
    /** `company`, `user:ID`, `conversation:ID`, `agent:NAME` or `name:NAME`. */
    entity: string
    /** The account that takes its place once a person has finished connecting it. */
    next?: Record<string, unknown> | null
    reason?: string | null
    /** In Composio's words; only an `ACTIVE` one performs actions. */
    state: string
  }
  /** Whose account, and where the browser goes then. */
  Connect: {
    /** A customer's id, or `company` (unless told), `user:ID`, `conversation:ID`, `agent:NAME`, `name:NAME`. */
    entity_id?: string
    /** Where the person's browser goes once it is connected; unless told to `callback_base` of the settings. */
    redirect_url?: string | null
  }
  /** Where a person goes to connect an account. */
  Connecting: {
    authorization_url: string
    connection_id: string
    expires_at?: string | null
  }
  Connections: {
    connections: Schemas['ComposioConnection'][]
  }
  /** A conversation. Lists leave out what is known of one alone. */
  Conversation: {
    assigned_agent_id?: string | null
    channel: string
    confidence_score?: number | null
    conversation_id: string
    created_at: string
    ended_at?: string | null
    /** Since when nothing is left of it but what lists show. */
    erased_at?: string | null
    /** The run that thinks about it, or waits for the customer. */
    execution_id?: string | null
    first_response_at?: string | null
    /** What went along when it was handed over. */
    handover_context?: unknown
    hil_reason?: string | null
    /** Whether people handle it. */
    is_hil: boolean
    last_message?: string | null
    /** The customer's. */
    messages: number
    /** What its owner owns it under; a post quotes it. */
    number: number
    /** `ai`, `person` or `nobody`. */
    owner: string
    rating?: number | null
    reopened?: number | null
    runs: number
    service_level?: Schemas['ConversationServiceLevel'] | null
    /** `new`, `ai_processing`, `finished`, `handover`, `pending_human`, `human_active`, `resolved` or `back_to_ai`. */
    state: string
    /** `active`, `closed` or `escalated`. */
    status: string
    total_cost_usd: number
    updated_at: string
    user_id?: string | null
    waiting_since?: string | null
    workflow_id: string
  }
  /** What is promised of a conversation. */
  ConversationServiceLevel: {
    /** Nothing: as the desk's settings say. */
    first_response_ms?: number | null
    /** `low`, `normal`, `high` or `urgent`. */
    priority: string
    resolution_ms?: number | null
  }
  Conversations: {
    conversations: Schemas['Conversation'][]
    /** `cursor` of the next page; nothing at the end. */
    next_cursor?: string | null
  }
  CostRows: {
    from: string
    /** The most expensive first, by day where days are apart; at most 10,000. What they are apart by, and `total_calls`,
     *  `total_cost_usd`, `total_tokens`, `avg_cost_usd`, `avg_latency_ms`, `success_rate`, and `saved_cost_usd`: what tools
     *  that selections left out would have cost. */
    rows: Record<string, unknown>[]
    to?: string | null
  }
  /** What models cost in a period. */
  CostSummary: {
    /** The most expensive first. */
    by_model: Schemas['ModelCosts'][]
    period: string
    summary: Schemas['Sums']
  }
  Costs: {
    by_node: Record<string, unknown>
    total_usd: number
  }
  /** What is kept of a customer. */
  CustomerExport: {
    also_known_by: string[]
    audit_rows: Record<string, unknown>[]
    /** Whether this is all there is. */
    complete: boolean
    /** Each with its `messages`. */
    conversations: Record<string, unknown>[]
    customer_id: string
    /** About them, by `collection` and `name`. */
    documents: Record<string, unknown>[]
    /** Where somebody of this id was erased: when, and how much of each kind. What is listed beside it came later. */
    erased?: Record<string, unknown> | null
    /** Each with its `input_data`. */
    executions: Record<string, unknown>[]
    exported_at: string
  }
  Deliveries: {
    deliveries: Schemas['Delivery'][]
    /** Give it as `after` for the next page. */
    next_after?: string | null
  }
  /** Something that is to be told, was, or could not be. */
  Delivery: {
    attempts: number
    /** What is posted: `type`, `timestamp`, `data`. */
    body: unknown
    event: string
    /** `webhook-id`: the same at every attempt. */
    id: string
    /** What the last attempt came to. */
    last?: string | null
    last_at?: string | null
  }
  Desk: {
    items: Schemas['DeskItem'][]
    /** Nothing on the last page. */
    next_cursor?: string | null
  }
  /** Something that happened at the desk, or how it stands. */
  DeskEvent: {
    /** Whose it is from here on, or was till now. */
    assigned_agent_id?: string | null
    at: string
    conversation_id?: string | null
    /** Of whom it is told. */
    human_agent_id?: string | null
    number?: number | null
    /** `online`, `away` or `offline`. */
    status?: string | null
  }
  /** Something that waits for a person. */
  DeskItem: {
    approved_by?: string[] | null
    asked_by?: string | null
    deadline?: string | null
    details: unknown
    effect_class?: string | null
    id: string
    irreversible?: string | null
    /** `approval`, `tool_approval`, `form`, `question`, `doubt`, `not_undone`, `over_budget`, `needs_key`, `budget`,
     *  `connection` or `late`. */
    kind: string
    /** What this key may do about it now: some of `approve`, `reject`, `fill`, `signal` and `resolve`. */
    may?: string[] | null
    opened_at: string
    /** Nothing where it is no run's. */
    run?: string | null
    title: string
    /** Of a request: the tool, the class of its effect, why it cannot be undone, who has said yes, and who asked. */
    tool?: string | null
    /** Why this key may not do more, where that is so. */
    why_not?: string | null
    /** Of the run; in lists. */
    workflow_id?: string | null
  }
  /** The desk's limits and chains, by which conversations are given out and escalated. */
  DeskSettings: {
    /** Within which a person must have answered; 300000 unless told. */
    first_response_ms?: number
    /** Steps from a missed resolution on. */
    late_resolution?: Schemas['DeskStep'][]
    /** Steps from a missed first response on. */
    late_response?: Schemas['DeskStep'][]
    /** Steps where nobody has the skills; one of them must be `drop_skills`. */
    nobody?: Schemas['DeskStep'][]
    /** How long what asks for skills that nobody has waits before the chain `nobody` begins; 120000 unless told. */
    nobody_for_ms?: number
    /** Within which it must be resolved; 14400000 unless told. */
    resolution_ms?: number
    /** Who gives no sign of life for so long is offline; 300000 unless told. */
    unheard_after_ms?: number
  }
  /** A step of a chain; the steps of a chain come one after another, 10 at the most. */
  DeskStep: {
    act: 'raise_priority' | 'tell' | 'drop_skills'
    /** After the breach. */
    after_ms: number
  }
  Difference: {
    from?: unknown
    /** `added`, `removed` or `changed`. */
    how: string
    /** Where, such as `definition.nodes[book].parameters.day`. */
    path: string
    to?: unknown
  }
  Differences: {
    /** All there are. */
    count: number
    /** At most 500. */
    differences: Schemas['Difference'][]
    from: number
    to: number
  }
  Disconnected: {
    disconnected: Schemas['ComposioConnection']
  }
  Discovered: {
    actions: number
    /** What of them is no tool, or not fully. */
    doubts: Record<string, unknown>[]
    toolkit: string
    /** The version that is pinned from now on. */
    version: string
  }
  DocumentAdded: {
    document: string
    pieces: number
    revision: number
    /** The very same document was there; nothing was done. */
    unchanged: boolean
  }
  /** What is known of a document without its text. */
  DocumentHead: {
    /** Milliseconds since 1970. */
    at: number
    metadata: Record<string, unknown>
    name: string
    /** Rises with each change, from 1. */
    revision: number
    /** The person it is about. */
    subject?: string | null
    title: string
  }
  DocumentRemoved: {
    removed: string
  }
  /** A document to keep. */
  DocumentWish: {
    /** The person it is about, whose wish to be forgotten takes it away; everybody's unless told. */
    about?: string | null
    /** Strings, numbers, truth values, and lists of these: what searches filter by. */
    metadata?: Record<string, unknown>
    /** One of the same name is replaced. */
    name: string
    /** Markdown or plain text, at most 4 MiB. */
    text: string
    /** Its first heading unless told, else its name. */
    title?: string | null
  }
  Documents: {
    documents: Schemas['DocumentHead'][]
    /** Nothing on the last page. */
    next_cursor?: string | null
  }
  Dollars: number | string
  Edge: {
    from: string
    label?: string | null
    on_error: boolean
    to: string
  }
  /** What became true together. */
  Entry: {
    at: string
    events: unknown[]
    /** 1 for the first. */
    seq: number
  }
  /** What a call came to. */
  Envelope: {
    audit_id?: string | null
    cached?: boolean | null
    cost_usd?: number | null
    data?: unknown
    duration_ms?: number | null
    /** For the customer, in their language. */
    error?: string | null
    error_code?: string | null
    /** For whoever runs it. */
    error_details?: string | null
    execution_id: string
    /** Of the run that makes the call. */
    state: string
    /** Nothing as long as the call goes on. */
    success?: boolean | null
    suggested_action?: string | null
    tool?: string | null
    /** Who must say what before it goes on. */
    waits_for?: Schemas['Waits'][] | null
  }
  /** What was erased of a person. */
  Erased: {
    /** How many other names of theirs were looked for. */
    also_known_by: number
    customer_id: string
    /** Executions and conversations that were ended for it. */
    ended: string[]
    /** How many of each kind: `executions`, `conversations`, `journal_entries`, `inbox_items`, `snapshots`, `desk_items`,
     *  `model_decisions`, `audit_rows`, `cached_answers`, `desk_entries`, `services`, `records` by their space, and `memory`. */
    erased: Record<string, unknown>
    /** When they were erased: now, or before where nothing was left; null where nobody of this id was ever erased. */
    erased_at?: string | null
    erased_audit_rows: number
    file: Schemas['Scrubbed']
    forgotten: Schemas['Forgotten']
    /** Whether there was anything of theirs to erase. */
    found: boolean
    /** Whether no copy is left in the log and in freed pages of the file. Otherwise it is done later by itself. */
    scrubbed: boolean
  }
  /** What else is known of a person. */
  ErasureWish: {
    /** Mail addresses, phone numbers and full names they are called by beside those of their contact, at most 50: what names
     *  one of these, however it is written, is looked for in records, in what runs were begun with and in the audit trail. Not
     *  a bare number, a date or an amount, nor fewer than 4 characters; `customer 1500` is one, and is looked for as these words. */
    also?: string[]
  }
  /** A workflow to execute. */
  Execute: {
    /** On whose behalf: `user_id`, `conversation_id`, `language`, `zone`, and whatever else the workflow reads. An
     *  `api_key` is used for this run's model calls and written nowhere. */
    context?: Record<string, unknown>
    /** What the workflow declares under `input:`. */
    input_data?: Record<string, unknown>
    /** The workflow's name; its active version is run. */
    workflow_id: string
  }
  /** A run and what it came to. */
  Execution: {
    compensated: boolean
    /** What waits for people because of it; where it is shown. */
    desk?: Schemas['DeskItem'][] | null
    duration_ms: number
    error: unknown
    execution_id: string
    /** The most it may cost, as its workflow says. */
    max_cost_usd?: number | null
    /** Of the whole, once it has ended. */
    output: unknown
    /** Of each completed node of the outer graph. */
    outputs: Record<string, unknown>
    /** What a rollback would undo now, newest first; where it is shown. */
    rollback_plan?: Schemas['Planned'][] | null
    runs_on?: Schemas['RunsOn'] | null
    /** As `status`, told apart: `compensated` and `timed_out` too. */
    state: string
    /** `pending`, `running`, `waiting`, `paused`, `compensating`, `completed`, `failed`, `cancelled` or `timeout`. */
    status: string
    total_cost_usd: number
    trace: Schemas['Trace']
    /** What a rollback undid, what it could not, and why. */
    undone: unknown
    /** The version it is on, in words; where the execution is shown, and has begun. */
    version?: string | null
    /** Who must say what before it goes on. */
    waits_for: Schemas['Waits'][]
  }
  ExecutionCosts: {
    by_model: Schemas['ModelCost'][]
    by_node: Schemas['NodeCost'][]
    execution_id: string
    /** The most it may cost, as its workflow says. */
    max_cost_usd?: number | null
    total_cost_usd: number
  }
  Executions: {
    executions: Schemas['Head'][]
    /** Nothing on the last page. */
    next_cursor?: string | null
  }
  /** Something that is wrong with a document, and where. */
  Finding: {
    /** Stable, and documented by a page each. */
    code: string
    /** In characters, 1 for the first. */
    column: number
    hint?: string | null
    len: number
    /** 1 for the first; 0 where there is no place. */
    line: number
    message: string
    /** `error`, `draft` (it names what is not there), `warning` or `hint`. The first two keep it from running. */
    severity: string
  }
  Forgotten: {
    conversations: number
    executions: number
    knowledge: number
    messages: number
    threads: number
  }
  Fork: {
    /** The node it begins at, as the execution's `nodes` name it: what was recorded before stands, the rest is done anew. */
    node_id: string
    /** The new run undoes what it inherited; the original does unless told. */
    owns_undo?: boolean
    /** Variables that are otherwise in the new run. */
    variables?: Record<string, unknown>
  }
  /** What a model made of a goal. */
  Generated: {
    cost_usd: number
    /** The same as JSON. */
    definition?: Record<string, unknown> | null
    diagnostics: Schemas['Finding'][]
    /** The draft in YAML; empty where the last reply holds none. */
    document: string
    /** A JSON Schema of what a run must bring; nothing where anything will do. */
    input?: Record<string, unknown> | null
    /** It may run. */
    ok: boolean
    /** Why the last reply holds no draft. */
    problem?: string | null
    /** Of the model: one a draft. */
    replies: number
    /** Its name, where it may run. */
    workflow?: string | null
  }
  GiveBack: {
    /** What the AI's next run is told. */
    note?: string
  }
  /** What a workflow is to be made for. */
  Goal: {
    /** What it is to achieve, in your own words; at most 4,000 characters. */
    goal: string
    /** Of the planner's prompts: `en` unless told, or `es`. */
    language?: string
    /** What it is called. The model names it unless told, and where that name is taken it gets a number. */
    name?: string | null
  }
  /** Nodes, and the edges between them. */
  Graph: {
    edges: Schemas['Edge'][]
    nodes: Schemas['Node'][]
  }
  /** A run as lists show it. */
  Head: {
    compensated: boolean
    completed_at?: string | null
    created_at: string
    duration_ms?: number | null
    /** In its journal. */
    entries: number
    /** Since when nothing is left of it but what lists show. */
    erased_at?: string | null
    error?: string | null
    execution_id: string
    /** The run that runs it. */
    parent?: string | null
    started_at?: string | null
    state: string
    status: string
    total_cost_usd: number
    wakes_at?: string | null
    workflow_id: string
  }
  /** Somebody who takes conversations over. */
  HumanAgent: {
    /** Those that are theirs now. */
    conversations: string[]
    created_at: string
    current_load: number
    email: string
    /** The name of their key. */
    id: string
    languages: string[]
    last_active: string
    max_capacity: number
    name: string
    /** What they are besides `human_agent`, for approvals that ask for a role. */
    roles: string[]
    skills: string[]
    /** `online`, `away` or `offline`. */
    status: string
  }
  /** The people of the desk. */
  HumanAgents: {
    human_agents: Schemas['HumanAgent'][]
  }
  Journal: {
    entries: Schemas['Entry'][]
    /** What `after` takes for the next page; nothing on the last. */
    next_after?: number | null
  }
  /** A version that was kept, and what is still to be said of it. */
  Kept: Schemas['Version'] & {
    /** Warnings and hints. */
    diagnostics: Schemas['Finding'][]
  }
  /** A key to make. */
  KeyWish: {
    /** 1 to 3,650; 90 unless told. */
    days?: number | null
    /** Whose it is or what for: it is who did something, in journals and in the audit trail. */
    name: string
    role: 'admin' | 'builder' | 'operator' | 'human_agent' | 'service'
    scopes?: ('read' | 'run' | 'answer' | 'build' | 'operate' | 'administer')[] | null
  }
  /** What is looked for. */
  KnowledgeQuery: {
    /** Only passages of documents whose metadata has these. */
    filter?: Record<string, unknown>
    mode?: 'hybrid' | 'vector' | 'text'
    query: string
    /** 1 to 50; 5 unless told. */
    top?: number | null
  }
  /** One figure. */
  Kpi: {
    /** What it is, in words. */
    definition: string
    /** `automation_rate`, `csat`, `escalation_rate`, `resolution_time`, `cost_per_conversation`, `reopen_rate`,
     *  `success_rate`, `error_rate` or `cache_hit_rate`. */
    name: string
    /** Of how many. */
    of: number
    /** Shares of it by why, where it has reasons. */
    reasons?: Record<string, number> | null
    /** One of `at_least`, `above` and `below`, with a number; nothing where it has no target. */
    target: unknown
    /** `share` (0 to 1), `seconds`, `usd` or `stars` (1 to 5). */
    unit: string
    /** Nothing where nothing was counted. */
    value?: number | null
    /** `met`, `missed`, `no_data` or `no_target`. */
    verdict: string
  }
  /** What a service is measured by. */
  Kpis: {
    /** Whether all of the time that was asked for is counted; of a busy tenant only the newest 10,000 runs are. */
    complete: boolean
    kpis: Schemas['Kpi'][]
    /** What was begun from here on is counted. */
    since: string
    until: string
  }
  Link: {
    /** How it went to the person: `email`, to the address that the desk has of them. */
    channel: string
    expires_at: string
    person: string
  }
  /** Who is to decide. */
  LinkFor: {
    /** Seconds the link is good: 60 to 2592000, a day unless told. */
    expires_s?: number
    /** Whom it is sent to, and in whose name is decided: their id among the `human-agents`. */
    person: string
  }
  /** Something that is told as it happens: an event of a stream, as the HTML standard reads one. */
  LiveEvent: {
    /** JSON; of what shape, the event says. */
    data: string
    /** What it is. */
    event: string
    /** Its place, where it has one: `Last-Event-ID` takes it. */
    id?: string | null
  }
  /** A key, to who brings it. */
  Me: {
    key_id: string
    name: string
    /** `admin`, `builder`, `operator`, `human_agent` or `service`. */
    role: string
    /** What of all that its role may it may: `read`, `run`, `answer`, `build`, `operate`, `administer`; nothing: all of it. */
    scopes?: string[] | null
    /** Replies of models come from files. */
    scripted: boolean
    tenant: string
  }
  /** One line of what was said. */
  Message: {
    after_gap: boolean
    at: string
    execution_id?: string | null
    /** `customer`, `ai`, `person`, `note` or `suggestion`. */
    from: string
    /** The customer does not see it. */
    internal: boolean
    message_id?: string | null
    /** The person's. */
    name?: string | null
    number: number
    /** The number its author owned the conversation under. */
    owned?: number | null
    sequence?: number | null
    source?: string | null
    text: string
  }
  Messages: {
    messages: Schemas['Message'][]
    /** `after` of the next page; nothing at the end. */
    next_after?: number | null
  }
  /** A key with its secret, for the only time. */
  MintedKey: {
    created_at: string
    expires_at?: string | null
    id: string
    /** The secret: `Authorization: Bearer KEY`. Nothing in the answer of a repetition under the same `Idempotency-Key`. */
    key?: string | null
    name: string
    per_minute?: number | null
    revoked_at?: string | null
    role: string
    scopes?: string[] | null
    /** Of a repetition: what it does not show. */
    shown_before?: string[] | null
    state: string
    tenant: string
  }
  /** Attempts at one model. */
  ModelCost: {
    avg_latency_ms: number
    calls: number
    cost_usd: number
    selected_model: string
    selected_provider: string
    total_tokens: number
  }
  ModelCosts: {
    avg_latency_ms: number
    calls: number
    cost_usd: number
    selected_model: string
  }
  /** A model that may be named. */
  ModelFacts: {
    /** Prices, context, quality, capabilities; nothing where no catalogue knows it. */
    facts?: Record<string, unknown> | null
    name: string
    provider: string
    /** Why it cannot be asked now. */
    unusable?: string | null
  }
  ModelList: {
    models: Schemas['ModelFacts'][]
    /** Replies come from files: the router chooses all the same. */
    scripted: boolean
  }
  Node: {
    /** Graphs inside it: a loop's body, the branches of a parallel node. */
    bodies?: Record<string, unknown>[] | null
    /** The tool, the agent or the workflow that it runs. */
    calls?: string | null
    id: string
    kind: string
    /** Its name where it has one, else what it runs. */
    label: string
    /** As its author calls it, where that is not its id. */
    name?: string | null
  }
  NodeCost: {
    cost_usd: number
    kind: string
    node_id: string
  }
  /** Words to other people. */
  Note: {
    text: string
  }
  /** A body that says nothing. */
  Nothing: Record<string, never>
  /** A passage with where it is from. */
  Passage: {
    /** The person its document is about. */
    about?: string | null
    /** `content` is bytes `begins..ends` of the document's text. */
    begins: number
    chunk: number
    content: string
    document: string
    ends: number
    /** The headings it stands under. */
    heading: string
    metadata: Record<string, unknown>
    /** Comparable within one answer only. */
    score: number
    title: string
  }
  Passages: {
    /** Why this is less than it could be. */
    degraded_reason?: string | null
    query: string
    results: Schemas['Passage'][]
  }
  /** What a rollback would do about an effect. */
  Planned: {
    /** The tool that is called. */
    calls?: string | null
    /** `call`, `irreversible`, `by_hand` or `child`. */
    how: string
    node: string
    /** Why it is not undone by a call. */
    reason?: string | null
    /** The run that is rolled back. */
    run?: string | null
    tool: string
    /** In words: the tool that is called, or why it is otherwise. */
    undo: string
  }
  /** Words to the customer. */
  Post: {
    /** The conversation's `number`, as whoever posts has seen it: who does not own it under that number does not speak. */
    number: number
    text: string
  }
  /** Why a request was said no to (RFC 9457). */
  Problem: {
    /** Stable, and documented by a page each. */
    code: string
    detail: string
    /** The run it is about. */
    execution_id?: string | null
    /** All that is wrong with a document. */
    findings?: Schemas['Finding'][] | null
    /** What to do about it. */
    hint?: string | null
    status: number
    title: string
    type: string
  }
  ProfileRules: {
    /** Whom it would ask now, and why. */
    choice: Record<string, unknown>
    max_cost_usd: number
    max_latency_ms: number
    /** Groups, each asked where the one before cannot answer. */
    models: string[][]
    /** `fast`, `balanced` or `powerful`. */
    profile: string
    weights: Record<string, unknown>
  }
  Profiles: {
    profiles: Schemas['ProfileRules'][]
  }
  /** What is promised of a conversation; what is left out stays as it is. */
  Promise: {
    /** From when it began to wait for a person. */
    first_response_ms?: number
    priority?: 'low' | 'normal' | 'high' | 'urgent'
    /** From when it began to wait for a person. */
    resolution_ms?: number
  }
  /** Somebody of the desk. */
  Put: {
    email: string
    /** Codes such as `es`; none: whatever is asked for. */
    languages?: string[]
    /** Conversations at a time, 1 to 100; 5 unless told. */
    max_capacity?: number | null
    name: string
    /** What they are besides, for approvals that ask for a role: `manager`. */
    roles?: string[]
    skills?: string[]
  }
  /** The line. */
  Queue: {
    next_after?: number | null
    /** Of all, not of this page alone. */
    total: number
    waiting: Schemas['Waiting'][]
  }
  /** How it went, as the customer says. */
  Rate: {
    comment?: string
    /** 1 to 5. */
    score: number
  }
  /** A body that says nothing. */
  Rebuild: Record<string, never>
  Rebuilt: {
    collections: Schemas['Collection'][]
  }
  /** Which versions. */
  Refresh: {
    /** The newest of those whose version the settings do not pin, which is pinned then. */
    newest?: boolean
  }
  Refreshed: {
    toolkits: Schemas['Discovered'][]
  }
  /** A request for a yes or a no. */
  Request: {
    approved_by: string[]
    /** Who asked, and may not decide. */
    asked_by?: string | null
    deadline?: string | null
    /** Among them, exactly what would be sent. */
    details: unknown
    effect_class?: string | null
    id: string
    irreversible?: string | null
    kind: string
    /** What this key may do about it now: some of `approve`, `reject`, `fill`, `signal` and `resolve`. */
    may: string[]
    opened_at: string
    run: string
    title: string
    tool?: string | null
    /** Why this key may not do more, where that is so. */
    why_not?: string | null
    workflow_id?: string | null
  }
  Resolve: {
    /** `{"done": OUTPUT}`, `"not_done"` or `"repeat"`. */
    became: Schemas['Became']
    /** As `waits_for` names it. */
    effect: string
  }
  Retry: {
    /** On the version it is on, though a newer one is active. */
    same_version?: boolean
  }
  Rollback: {
    /** The one before that was active, unless told. */
    revision?: number | null
  }
  /** A key to rotate. */
  Rotation: {
    /** Days the new one is good for; 90 unless told. */
    days?: number | null
    /** Hours the old one is still good for; 24 unless told, 0 ends it at once, 720 at the most. */
    overlap_hours?: number | null
  }
  RunsOn: {
    bundle: string
    label: string
    revision?: number | null
    workflow: string
  }
  /** What a person says to a `human` node, or to what a call asks. */
  Said: {
    /** To a question for a yes or a no. */
    approve?: boolean | null
    /** To a form. */
    form?: Record<string, unknown> | null
    note?: string
    /** The node or the call, as `waits_for` names it: its `node`, or its `effect`. */
    to: string
  }
  /** A schedule with what became of it, and what comes. */
  Schedule: {
    context: unknown
    created_at: string
    cron: string
    enabled: boolean
    /** Why the last one could not be begun. */
    error?: string | null
    /** Defined by the project's folder. */
    from_project: boolean
    input_data: unknown
    last_execution_id?: string | null
    last_instant?: string | null
    /** Instants that were left out: missed, or while another run went on. */
    left_out: number
    missed: string
    name: string
    /** The coming instants; none while it is not enabled. */
    next: string[]
    overlap: string
    workflow_id: string
    zone?: string | null
  }
  ScheduleBegun: {
    execution_id: string
  }
  /** A schedule, as it is defined. */
  ScheduleDefined: {
    context?: Record<string, unknown>
    /** Five fields of cron, or six with seconds first, or `@daily` and the like. */
    cron: string
    enabled?: boolean
    /** What the workflow is given. Templates may say `{{ scheduled_at }}` and `{{ schedule }}`. */
    input_data?: Record<string, unknown>
    missed?: 'run_once' | 'once' | 'run_all' | 'all' | 'skip'
    /** 1 to 60 letters, digits, `.`, `_` and `-`. */
    name?: string | null
    overlap?: 'allow' | 'skip' | 'wait'
    /** The workflow whose active version is run. */
    workflow_id: string
    /** IANA; the project's where left out, else UTC. */
    zone?: string | null
  }
  Schedules: {
    /** Give it as `after` for the next page. */
    next_after?: string | null
    schedules: Schemas['Schedule'][]
  }
  /** What became of the database's file. */
  Scrubbed: {
    bytes: number
    log_truncated: boolean
    /** Why it is not scrubbed yet. */
    unfinished?: string
    /** It was written anew: no page holds what was deleted. */
    vacuumed: boolean
  }
  Secret: {
    /** Shown this once. */
    secret: string
  }
  /** A change of secrets. */
  SecretChange: {
    /** Hours that the old secret is still good for: 0 to 720, 24 unless told. */
    overlap_hours?: number
    /** Where the other service chose it; one is made where left out. */
    secret?: string | null
  }
  /** A version's part of a workflow's runs. */
  Share: {
    /** 1 to 100. */
    percent: number
    revision: number
  }
  /** A signal: the customer's words in `message`, or a `name` with what comes with it. */
  Signalled: {
    /** What the customer says. */
    message?: string | null
    name?: string | null
    /** What comes with the name. */
    payload?: unknown
  }
  /** A body that says nothing. */
  Silent: Record<string, never>
  /** Where tools come from, and how it stands. */
  Source: {
    /** Where it is asked, without what may be secret; nothing where nobody is asked, or a program. */
    address?: string | null
    asked_at?: string | null
    /** The project's file that defines it, whose tools are everybody's; nothing: the tenant added it for itself. */
    file?: string | null
    /** `openapi` or `mcp`. */
    kind: string
    /** Why it did not answer, or its tools cannot be used. */
    last_error?: string | null
    name: string
    /** Whether it answered when it was asked last; nothing where nobody is asked. */
    reachable?: boolean | null
    tool_count: number
    unsupported_count: number
  }
  /** What stands in its place: the same without the name, which is kept. */
  SourceDefined: {
    auth?: Record<string, unknown> | null
    document?: unknown
    exclude?: string[] | null
    headers?: Record<string, unknown> | null
    include?: string[] | null
    kind: 'openapi' | 'mcp'
    trusted?: boolean | null
    url?: string | null
  }
  /** A source to add: a name, and what a file of the project's `tools/` would say. */
  SourceNew: {
    /** Of `openapi`: by the name of the security scheme, `{{ secrets.NAME }}`. */
    auth?: Record<string, unknown> | null
    /** Of `openapi`: the document, up to a megabyte of it, or its address. */
    document?: unknown
    exclude?: string[] | null
    /** Of `mcp`: sent with each request. What is a key is `{{ secrets.NAME }}`. */
    headers?: Record<string, unknown> | null
    include?: string[] | null
    kind: 'openapi' | 'mcp'
    /** 1 to 32 letters, digits, `_` and `-`. */
    name: string
    /** Whether the tenant vouches that its tools do what they say. */
    trusted?: boolean | null
    /** Of `mcp`: where the server speaks streamable HTTP. */
    url?: string | null
  }
  SourcePart: {
    /** `paths./pets.post.requestBody`. */
    place: string
    reason: string
  }
  /** The same with its tools. */
  SourceWhole: {
    address?: string | null
    asked_at?: string | null
    /** As it was added; a document that was sent is left out. Nothing for one of the project's files. */
    definition?: Record<string, unknown> | null
    file?: string | null
    kind: string
    last_error?: string | null
    name: string
    reachable?: boolean | null
    tool_count: number
    /** Names. */
    tools: string[]
    /** Parts of its document or its list that no tool can use, or not fully. */
    unsupported: Schemas['SourcePart'][]
    unsupported_count: number
  }
  Sources: {
    sources: Schemas['Source'][]
  }
  /** Who shares a workflow's runs. */
  Split: {
    /** At most 10, which add up to 100; none: all runs are the active version's. */
    traffic: Schemas['Share'][]
  }
  /** A call. */
  Step: {
    completed_at?: string | null
    duration_ms?: number | null
    error?: string | null
    started_at: string
    step_id: string
    success: boolean
    tool_name: string
    /** It undid an earlier one's effect. */
    undo: boolean
  }
  Subscription: {
    created_at: string
    enabled: boolean
    events: string[]
    /** Defined by the project's folder. */
    from_project: boolean
    name: string
    /** Shown when it is made or rotated, and never again. */
    secret?: string | null
    url: string
  }
  /** A subscription, as it is defined. */
  SubscriptionDefined: {
    enabled?: boolean
    /** `execution.completed`, `execution.failed`, `execution.cancelled`, `execution.rolled_back`, `execution.waiting`,
     *  `approval.requested`, `conversation.begun`, `conversation.message`, `conversation.handed_over`,
     *  `conversation.assigned`, `conversation.given_back`, `conversation.resolved`, `conversation.finished`,
     *  `conversation.reopened`, `conversation.rated`; `execution.*`, `conversation.*` and `*` stand for several. */
    events: string[]
    /** 1 to 60 letters, digits, `.`, `_` and `-`. */
    name?: string | null
    /** To sign with; one is made where left out. Of a subscription that is there it is changed by `rotate`. */
    secret?: string | null
    /** Where it is posted to: a public address, or one that the settings allow. */
    url: string
  }
  Subscriptions: {
    subscriptions: Schemas['Subscription'][]
  }
  Summary: {
    avg_step_duration_ms: number
    failed: number
    in_progress: number
    is_active: boolean
    successful: number
    total_duration_ms: number
    total_steps: number
    workflow_id?: string | null
  }
  Sums: {
    avg_cost_usd: number
    avg_latency_ms: number
    /** What was not spent: tools that selections left out would have cost so much, one call of each. */
    saved_cost_usd: number
    /** Those that failed included. */
    total_calls: number
    total_cost_usd: number
    total_tokens: number
  }
  /** A workflow to begin from. */
  Template: {
    description?: string | null
    name: string
    yaml: string
  }
  Templates: {
    templates: Schemas['Template'][]
  }
  /** A tenant, as it is answered. */
  Tenant: {
    created_at: string
    /** From when on nobody of it comes in. */
    disabled_at?: string | null
    id: string
    name: string
    /** Of its own; nothing: as the settings have it. */
    tier?: string | null
    /** The one that holds: `free`, `professional`, `enterprise`, or one of the settings'. */
    tier_in_force: string
  }
  /** What becomes of a tenant. What is left out stays. */
  TenantChange: {
    name?: string | null
    /** `null`: as the settings have it. */
    tier?: string | null
  }
  /** A tenant that was made, with the first key of it, for the only time. */
  TenantMade: {
    created_at: string
    disabled_at?: string | null
    id: string
    /** An admin key of the tenant's: `Authorization: Bearer KEY`. */
    key: string
    key_id: string
    name: string
    tier?: string | null
    tier_in_force: string
  }
  /** A tenant to make. */
  TenantWish: {
    /** As runs and keys have it: letters, digits, `.`, `_` and `-`. */
    id: string
    /** What people know it by; its id unless told. */
    name?: string | null
    /** `free`, `professional`, `enterprise`, or one of the settings'; as the settings have it unless told. */
    tier?: string | null
  }
  Tenants: {
    /** Give it as `after` for the next page. */
    next_after?: string | null
    tenants: Schemas['Tenant'][]
  }
  /** Whether somebody is there. */
  There: {
    status: 'online' | 'away' | 'offline'
  }
  Timeline: {
    steps: Schemas['Step'][]
  }
  /** What is known of a tool. */
  Tool: {
    /** Other names it goes by. */
    aliases?: string[] | null
    audit_type: string
    /** How long an answer holds, where it is kept. */
    cache_seconds?: number | null
    category: string
    /** Whether what it does can be undone by another tool. */
    compensable: boolean
    /** The price of one call. */
    cost_usd: number
    /** Whether the settings let the tenant call it. */
    enabled: boolean
    /** Its description, the schema of its parameters, and what holds for its calls. */
    facts: Record<string, unknown>
    name: string
    /** JSON Schema of what it answers with, where that is known. */
    output_schema?: Record<string, unknown> | null
    /** Who performs it, unless the tenant has chosen another. */
    provider: string
    /** Who could, with the settings each of them needs. */
    providers?: Record<string, unknown>[] | null
    /** How often one tenant may call it (`100/min`), where that is limited. */
    rate?: string | null
    /** `low`, `medium` or `high`. */
    risk: string
    /** Which edition of it this is, as whoever makes it says. */
    version?: string | null
  }
  /** A call of a tool. */
  ToolCall: {
    /** The tool's arguments by name; nothing in them is a template. */
    arguments?: Record<string, unknown>
    /** On whose behalf: `user_id`, `conversation_id`, `language`, `zone`. An `api_key` is used for this call and written
     *  nowhere. */
    context?: Record<string, unknown>
  }
  /** What tools are to be chosen for. */
  ToolChoice: {
    /** On whose behalf, as for executions. */
    context?: Record<string, unknown>
    /** What the customer says. */
    message: string
    /** Those that may be chosen, at most 100. */
    tools: string[]
  }
  /** What holds for a tenant's calls of a tool, beside the settings' files. What is left out is as they have it. */
  ToolRule: {
    /** `true`: each call waits for a person, whatever its risk. */
    approval?: boolean | null
    /** Who allows it then, where the settings do not say: `need` people of `from`, within `deadline_seconds`, else it is
     *  rejected. */
    approvers?: Record<string, unknown> | null
    /** How long an answer holds; 0 keeps none. */
    cache_seconds?: number | null
    /** Arguments used where a call does not say. */
    defaults?: Record<string, unknown> | null
    /** `false` keeps it from being called. */
    enabled?: boolean | null
    /** Arguments used whatever a call says. */
    overrides?: Record<string, unknown> | null
    /** How often it may be called, such as `10/min`; what the settings say is one limit more. */
    rate?: string | null
  }
  /** One change of a tool's rule. */
  ToolRuleChange: {
    at: string
    /** The name of a key. */
    by?: string | null
    role?: string | null
    /** What it was set to; nothing where it was left to the settings' files. */
    value?: unknown
  }
  /** Who set a tool's rule. */
  ToolRuleHistory: {
    history: Schemas['ToolRuleChange'][]
  }
  ToolUsage: {
    from: string
    to?: string | null
    /** What they are apart by, and `count`, `success_rate`, `cached`, `p50_ms`, `p95_ms`, `p99_ms`, `errors` by code and
     *  `cost_estimate`. */
    usage: Record<string, unknown>[]
  }
  Tools: {
    /** Nothing on the last page. */
    next_cursor?: string | null
    tools: Schemas['Tool'][]
  }
  ToolsFound: {
    /** Why this is less than it could be: somebody outside could not be asked. */
    degraded_reason?: string | null
    tools: Schemas['Tool'][]
  }
  Trace: {
    completed_at?: string | null
    costs: Schemas['Costs']
    nodes: Schemas['TracedNode'][]
    started_at?: string | null
    workflow_id?: string | null
  }
  TracedNode: {
    duration_ms: number
    error?: string | null
    kind: string
    node_id: string
    status: string
    success: boolean
  }
  Traffic: {
    /** The active version's revision. */
    active?: number | null
    /** Empty: all runs are the active version's. */
    traffic: Schemas['Share'][]
  }
  Trail: {
    /** Nothing on the last page. */
    next_cursor?: number | null
    rows: Schemas['AuditRow'][]
  }
  /** Who is to have it. */
  Transfer: {
    /** The number of its owner now, as the conversation shows it: whoever was faster is not overruled. */
    number: number
    /** Somebody who is online and has room; or else `skills`. */
    person?: string | null
    /** It goes into the line for whoever has these; or else `person`. */
    skills?: string[] | null
  }
  /** Whose a conversation is now. */
  Transferred: {
    /** Nothing where it waits. */
    assigned_agent_id?: string | null
    conversation_id: string
    number?: number | null
  }
  /** What was found in a document. */
  Validated: {
    diagnostics: Schemas['Finding'][]
    graph?: Schemas['Graph'] | null
    /** A JSON Schema of what a run must bring; nothing where anything will do. */
    input?: Record<string, unknown> | null
    /** It may run. */
    ok: boolean
    /** Its name, where it is a workflow. */
    workflow?: string | null
  }
  Verified: {
    /** The first row that does not hold, and why. */
    broken?: Record<string, unknown> | null
    /** Of these, how many a person was erased from. */
    erased: number
    expected_is_missing: boolean
    holds: boolean
    /** How many were followed. */
    rows: number
    /** The newest hash: note it elsewhere now and then. */
    tip: string
  }
  /** An immutable version of a workflow. */
  Version: {
    /** When it last became the active one; nothing where it never was. */
    activated_at?: string | null
    active: boolean
    /** The hash of its text. */
    bundle: string
    created_at: string
    /** The version that its text names. */
    label: string
    /** Who made it; nothing where it came from the project's files. */
    made_by?: string | null
    /** 1 for the first. */
    revision: number
    workflow: string
  }
  Versions: {
    versions: Schemas['Version'][]
  }
  /** A conversation that waits for a person. */
  Waiting: {
    conversation_id: string
    first_response_by?: string | null
    language?: string | null
    number: number
    /** From 1. */
    place: number
    /** `low`, `normal`, `high` or `urgent`. */
    priority: string
    resolve_by: string
    skills: string[]
    waiting_since: string
    /** `nobody_has_the_skills`, `nobody_is_online`, `nobody_has_room` or `being_assigned`. */
    waits_for: string
  }
  /** Something a run waits for. */
  Waits: {
    approved_by?: string[] | null
    at?: string | null
    effect?: string | null
    form?: Record<string, unknown> | null
    from?: string[] | null
    /** `human`, `form`, `customer`, `approval`, `question`, `doubt`, `by_hand`, `budget`, `needs_key`, `signal`, `instant` or `resume`;
     *  of a call that goes out by itself at `at`: `rate`, `circuit`, `outage`, `retry` or `look_up`. */
    kind: string
    /** What a call asks, and the schema of the answer. */
    message?: string | null
    name?: string | null
    need?: number | null
    node?: string | null
    /** The run that waits: this one, or one it runs. */
    run: string
    /** The tool of a call that goes out by itself. */
    tool?: string | null
  }
  Webhook: {
    context: unknown
    created_at: string
    enabled: boolean
    form: string
    /** Defined by the project's folder. */
    from_project: boolean
    input_data: unknown
    name: string
    /** Where it is posted to, below the server's address. */
    path: string
    /** Shown when it is made or rotated, and never again. */
    secret?: string | null
    tolerance_s: number
    workflow_id: string
  }
  /** A webhook, as it is defined. */
  WebhookDefined: {
    context?: Record<string, unknown>
    enabled?: boolean
    form?: 'standard' | 'github' | 'stripe'
    /** What the workflow is given, with templates that may say `body`, `delivery_id`, `hook` and `received_at`; the whole
     *  body where left out. */
    input_data?: unknown
    /** 1 to 60 letters, digits, `.`, `_` and `-`; the last part of its address. */
    name?: string | null
    /** Where the other service chose it; one is made where left out. Of a webhook that is there it is changed by `rotate`. */
    secret?: string | null
    /** Seconds that a request may be old: 1 to 3600, 300 unless told. */
    tolerance_s?: number
    /** The workflow whose active version is run at each delivery. */
    workflow_id: string
  }
  Webhooks: {
    /** Give it as `after` for the next page. */
    next_after?: string | null
    webhooks: Schemas['Webhook'][]
  }
  /** One week of tool use. */
  WeekReport: {
    by_agent: Record<string, unknown>
    by_app: Record<string, unknown>
    by_day: Record<string, unknown>
    company_id: string
    cost_estimate: number
    from: string
    /** Nothing where nothing was called. */
    success_rate?: number | null
    to: string
    tools: Record<string, unknown>
    total_executions: number
    underutilized_tools: string[]
    week: string
    zone: string
  }
  Why: {
    /** It is shown with the circuit. */
    reason?: string
  }
  Word: {
    /** Why; it is kept with the decision. */
    reason?: string
  }
  /** A version of a workflow. */
  Workflow: Schemas['Version'] & {
    /** When it was put away. */
    archived_at?: string | null
    /** The text of the bundle: the definition and what it pins. */
    definition: unknown
    graph: Schemas['Graph']
    /** A JSON Schema of what a run must bring; nothing where anything will do. */
    input?: Record<string, unknown> | null
    /** Who shares its runs; empty: all are the active version's. */
    traffic: Schemas['Share'][]
    /** The definition, as people write it. */
    yaml: string
  }
  Workflows: {
    workflows: Schemas['Version'][]
  }
  /** What the customer says. */
  Write: {
    /** Told twice under one id, it is one message; else the `Idempotency-Key` is its id, or it has none. */
    message_id?: string | null
    /** The sender's own number, from 0 or 1 on. What comes early waits up to 5 s for those before it. */
    sequence?: number | null
    /** Who sends it: ids and numbers are each sender's own. `customer` unless told. */
    source?: string | null
    text: string
  }
}

// Serves recorded responses of the real binary (fixtures/recorded.json) over the API that the page uses, with the same
// headers. Only for tests: `npm run serve`, then any key but "wrong".
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { conversationServer } from './conversations.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const dist = join(here, '../dist')
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}
export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
const entryEvery_ms = 60

export function serve({ port = 0 } = {}) {
  const recorded = JSON.parse(readFileSync(join(here, 'fixtures/recorded.json'), 'utf8'))
  const runs = new Map(recorded.runs.map((run) => [run.id, { ...run, phase: 0, shown: run.phases[0].upto, patch: {} }]))
  // As runs create conversations.
  for (const { started } of recorded.runs.map((run) => run.journal[0].events[0]))
    started.caller.user_id = started.input.name ?? null
  const order = recorded.runs.map((run) => run.id).reverse()
  const listeners = new Map()
  const people = conversationServer(order[0])
  const state = { failing: false, cut: false, posts: [], puts: [], many: 0 }
  /** Many runs: copies of one that ended. */
  const crowd = (n) => {
    const of = head(runs.get(recorded.runs.find((run) => run.phases[0].show.state === 'compensated').id))
    return Array.from({ length: n }, (_, i) => ({
      ...of,
      execution_id: `crowd-${String(n - i).padStart(5, '0')}`,
      workflow_id: `${of.workflow_id}_${n - i}`,
      entries: 0,
    }))
  }

  const phase = (run) => run.phases[Math.min(run.phase, run.phases.length - 1)]
  const execution = (run) => {
    const { desk, version, ...show } = phase(run).show
    // It is not final before its last entry is sent.
    const under_way = run.shown < phase(run).upto ? { state: 'running', status: 'running' } : {}
    const { bundle } = run.journal[0].events[0].started
    const runs_on = { workflow: run.workflow, label: '1.0.0', revision: 1, bundle }
    return { ...show, runs_on, ...under_way, ...run.patch, entries: run.shown }
  }
  const drawing = (run) => ({
    nodes: phase(run).graph.nodes.map(({ id, kind, name, calls, bodies }) => ({
      id,
      kind,
      label: name ?? calls ?? id,
      ...(bodies ? { bodies } : {}),
    })),
    edges: phase(run).graph.edges.map(({ taken, ...edge }) => ({ label: null, ...edge })),
  })
  const head = (run) => ({ ...phase(run).head, ...run.patch, entries: run.shown })
  const desk = () => order.flatMap((id) => (runs.get(id).patch.state ? [] : phase(runs.get(id)).desk))
  const approvals = () => order.flatMap((id) => (runs.get(id).patch.state ? [] : phase(runs.get(id)).approvals))
  const send = (id, event, data, seq) => {
    for (const res of listeners.get(id) ?? [])
      res.write(`${seq ? `id: ${seq}\n` : ''}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  let listener = null
  /** Streams the next reply of a model chunk by chunk, then records it. */
  const speaks = () =>
    new Promise((go) => {
      listener = go
    })
  const replyIn = (entry) => entry?.events.find((event) => event.done?.output?.model)?.done.effect
  /** Continues the run as recorded: entry by entry, then its new state. */
  function goOn(run) {
    if (run.phase + 1 >= run.phases.length) return
    run.phase++
    const rest = run.journal.filter((entry) => entry.seq > run.shown && entry.seq <= phase(run).upto)
    const next = () => {
      const effect = listener && replyIn(rest[0])
      if (!effect) return record()
      const say = (part) => send(run.id, 'model', { effect, ...part })
      listener({ say: (text) => say({ text }), again: () => say({ reset: true }), end: record })
      listener = null
    }
    const record = () => {
      const entry = rest.shift()
      if (!entry) return send(run.id, 'state', execution(run))
      run.shown = entry.seq
      send(run.id, 'entry', entry, entry.seq)
      setTimeout(next, entryEvery_ms).unref()
    }
    setTimeout(next, entryEvery_ms).unref()
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://localhost')
    const json = (status, body, headers = {}) => {
      res.writeHead(status, {
        'content-type': status >= 400 ? 'application/problem+json' : 'application/json',
        ...headers,
      })
      res.end(JSON.stringify(body))
    }
    const problem = (status, code, detail, hint) =>
      json(status, { type: `https://baton.example/errors/${code}`, title: detail, status, code, detail, hint })
    if (url.pathname.startsWith('/test/')) {
      if (url.pathname === '/test/fail') state.failing = url.searchParams.get('on') === '1'
      if (url.pathname === '/test/cut') {
        state.cut = url.searchParams.get('on') === '1'
        if (state.cut) for (const set of listeners.values()) for (const one of set) one.destroy()
      }
      if (url.pathname === '/test/many') state.many = Number(url.searchParams.get('n'))
      return json(200, { posts: state.posts })
    }
    if (!url.pathname.startsWith('/api/')) {
      const path = normalize(decodeURIComponent(url.pathname))
      const file = extname(path) ? path : '/index.html'
      try {
        const body = readFileSync(join(dist, file))
        const hashed = file.startsWith('/assets/')
        res.writeHead(200, {
          'content-type': types[extname(file)] ?? 'application/octet-stream',
          'content-security-policy': policy,
          'x-content-type-options': 'nosniff',
          'cache-control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
        })
        return res.end(body)
      } catch {
        res.writeHead(404)
        return res.end()
      }
    }
    const key = req.headers.authorization?.replace('Bearer ', '')
    if (!key || key === 'wrong') return problem(401, 'API-001', 'a key is needed', 'send Authorization: Bearer KEY')
    if (state.failing) return problem(500, 'API-500', 'the store did not answer', 'look at the log of the server')
    const parts = url.pathname.slice('/api/v1/'.length).split('/').map(decodeURIComponent)
    let body = {}
    if (req.method === 'POST' || req.method === 'PUT') {
      let text = ''
      for await (const piece of req) text += piece
      body = text ? JSON.parse(text) : {}
      const told = { path: url.pathname, body, once: !!req.headers['idempotency-key'] }
      state[req.method === 'POST' ? 'posts' : 'puts'].push(told)
      if (req.method === 'POST' && !req.headers['idempotency-key'])
        return problem(400, 'API-009', 'an Idempotency-Key is expected of this page')
    }
    const [room, id, verb] = parts
    if (room === 'me')
      return json(200, {
        key_id: 'key_1',
        name: key === 'newcomer' ? 'nuria' : 'olga',
        role: { agent: 'human_agent', newcomer: 'human_agent', builder: 'builder' }[key] ?? 'admin',
        tenant: 'Norte Outdoor',
        scripted: true,
      })
    if (room === 'workflows' && id === 'execute') {
      const found = order
        .map((one) => runs.get(one))
        .find((run) => run.workflow === body.workflow_id && run.phases.length > 1)
      if (!found) return problem(404, 'WF-001', `there is no workflow \`${body.workflow_id}\``)
      return json(202, execution(found), { location: `/api/v1/executions/${found.id}` })
    }
    if (room === 'workflows' && !id)
      return json(200, {
        workflows: recorded.workflows.map((name) => ({
          workflow: name,
          revision: 1,
          label: '1.0.0',
          active: true,
          created_at: '2026-11-22T09:00:00Z',
        })),
      })
    if (room === 'workflows' && verb === 'versions') {
      const of = recorded.runs.filter((run) => run.workflow === id)
      const bundles = [...new Set(of.map((run) => run.journal[0].events[0].started.bundle))]
      return json(200, {
        versions: bundles.map((bundle, i) => ({
          workflow: id,
          revision: i + 1,
          label: '1.0.0',
          bundle,
          active: true,
          created_at: '2026-11-22T09:00:00Z',
        })),
      })
    }
    if (room === 'workflows') {
      const found = order.map((one) => runs.get(one)).findLast((run) => run.workflow === id)
      const input = Object.fromEntries(
        Object.keys(found?.journal[0].events[0].started.input ?? {}).map((name) => [name, 'string']),
      )
      return found
        ? json(200, {
            workflow: id,
            label: '1.0.0',
            revision: 1,
            active: true,
            graph: drawing(found),
            definition: { format: 1, definition: { input } },
          })
        : problem(404, 'WF-001', `there is no workflow \`${id}\``)
    }
    if (people.answer({ room, id, verb, url, body, method: req.method, json, problem, req, res })) return
    if (room === 'desk') return json(200, { items: desk() })
    if (room === 'approvals' && !id)
      return json(200, { items: desk().filter((item) => item.kind.endsWith('approval')) })
    if (room === 'approvals') {
      const item = approvals().find((one) => one.id === id)
      if (!item) return problem(404, 'API-004', 'nothing of this id waits')
      if (!verb) return json(200, item)
      if (verb === 'approve') goOn(runs.get(item.run))
      else runs.get(item.run).patch = { state: 'failed', status: 'failed' }
      return json(200, { ...item, approved_by: [...item.approved_by, 'olga'] })
    }
    if (room === 'executions' && !id) {
      const limit = Math.min(state.many ? 500 : 4, Number(url.searchParams.get('limit') ?? 50))
      const wanted = (state.many ? crowd(state.many) : order.map((one) => head(runs.get(one)))).filter(
        (one) =>
          (!url.searchParams.get('state') || one.state === url.searchParams.get('state')) &&
          (!url.searchParams.get('workflow_id') || one.workflow_id === url.searchParams.get('workflow_id')),
      )
      const from = Number(url.searchParams.get('cursor') ?? 0)
      return json(200, {
        executions: wanted.slice(from, from + limit),
        next_cursor: from + limit < wanted.length ? String(from + limit) : null,
      })
    }
    const run = runs.get(id)
    if (room !== 'executions' || !run) return problem(404, 'API-004', `there is no run \`${id}\``)
    if (!verb) return json(200, execution(run))
    if (verb === 'graph') return json(200, drawing(run))
    if (verb === 'timeline') return json(200, { steps: phase(run).timeline })
    if (verb === 'journal') {
      const after = Number(url.searchParams.get('after') ?? 0)
      const entries = run.journal.filter((entry) => entry.seq > after && entry.seq <= run.shown).slice(0, 5)
      const last = entries.at(-1)?.seq
      return json(200, { entries, next_after: last && last < run.shown ? last : null })
    }
    if (verb === 'events') {
      if (state.cut) return res.destroy()
      res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      res.write(': here\n\n')
      const since = Number(req.headers['last-event-id'] ?? 0)
      for (const entry of run.journal)
        if (entry.seq > since && entry.seq <= run.shown)
          res.write(`id: ${entry.seq}\nevent: entry\ndata: ${JSON.stringify(entry)}\n\n`)
      // As the binary does: a late subscriber gets the current state of a settled run.
      if (run.shown === phase(run).upto) res.write(`event: state\ndata: ${JSON.stringify(execution(run))}\n\n`)
      const set = listeners.get(id) ?? new Set()
      listeners.set(id, set.add(res))
      req.on('close', () => set.delete(res))
      return
    }
    if (verb === 'signal' || verb === 'answer') {
      goOn(run)
      return json(202, execution(run.phase > 0 ? { ...run, phase: run.phase - 1 } : run))
    }
    if (verb === 'fork') return json(202, execution(runs.get(order[0])))
    const states = {
      pause: 'paused',
      resume: undefined,
      cancel: 'cancelled',
      compensate: 'compensated',
      retry: 'running',
    }
    if (!(verb in states)) return problem(404, 'API-004', 'there is no such door')
    if (verb === 'retry') return problem(409, 'RUN-011', 'the run is not failed any more', 'look at it again')
    run.patch = states[verb] ? { state: states[verb], status: states[verb] } : {}
    send(id, 'state', execution(run))
    return json(200, execution(run))
  })
  return new Promise((resolve) =>
    server.listen(port, '127.0.0.1', () =>
      resolve({
        stop() {
          server.closeAllConnections()
          server.close()
        },
        state,
        people,
        speaks,
        url: `http://127.0.0.1:${server.address().port}`,
      }),
    ),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await serve({ port: Number(process.env.PORT ?? 4173) })
  console.log(url)
}

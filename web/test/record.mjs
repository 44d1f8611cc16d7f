// Records responses of the real binary about a few runs, for the fixture server and the tests.
//   node test/record.mjs PATH/TO/baton FOLDER_OF_EXAMPLES
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [binary, examples] = process.argv.slice(2)
if (!binary || !examples) throw new Error('usage: node test/record.mjs PATH/TO/baton FOLDER_OF_EXAMPLES')
const here = fileURLToPath(new URL('.', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'baton-record-'))
const folders = {
  norte: join(here, 'project'),
  clinic: join(examples, 'clinic'),
  pipelines: join(examples, 'pipelines'),
}
for (const [name, from] of Object.entries(folders)) cpSync(from, join(work, name), { recursive: true })

const call = (project, args) => {
  try {
    return execFileSync(binary, ['-C', join(work, project), ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch (error) {
    return error.stdout
  }
}
const json = (project, ...args) => JSON.parse(call(project, [...args, '--json']))
const start = (project, workflow, ...args) => json(project, 'run', workflow, ...args).execution_id

/** The graph, from the text that `baton graph` prints, annotated by the run. */
function graph(project, show, entries) {
  const nodes = new Map(
    show.nodes.map((n) => [
      n.node,
      { id: n.node, kind: n.kind, status: n.status, duration_ms: n.duration_ms, cost_usd: n.cost_usd },
    ]),
  )
  const edges = []
  for (const line of call(project, ['graph', show.workflow_id]).split('\n')) {
    const edge = line.match(/^\s+(\w+) (-->|-\.->)(?:\|(.*)\|)? (\w+)$/)
    const node = line.match(/^\s+(\w+)[[({]+([^[\](){}\\]+)[\])}]+$/)
    if (edge && nodes.has(edge[1]) && nodes.has(edge[4]))
      edges.push({
        from: edge[1],
        to: edge[4],
        ...(edge[3] && edge[2] === '-->' ? { label: edge[3] } : {}),
        on_error: edge[2] === '-.->',
        taken: false,
      })
    else if (node && nodes.has(node[1]) && node[2].startsWith('"')) nodes.get(node[1]).name = node[2].slice(1, -1)
    else if (node && nodes.get(node[1])?.kind === 'tool' && node[1] !== node[2]) nodes.get(node[1]).calls = node[2]
  }
  for (const event of entries.flatMap((e) => e.events)) {
    const { tool } = event.scheduled?.request ?? {}
    if (tool && nodes.get(event.scheduled.effect.node)?.kind === 'tool' && event.scheduled.effect.role !== 'undo')
      nodes.get(event.scheduled.effect.node).calls = tool.tool
  }
  for (const { ended } of entries.flatMap((e) => e.events))
    if (ended && !ended.node.includes('/'))
      for (const place of ended.taken ?? []) if (edges[place]) edges[place].taken = true
  return { nodes: [...nodes.values()], edges }
}

const runs = []
function record(project, id, next) {
  const phases = []
  const take = () => {
    const show = json(project, 'runs', 'show', id)
    const journal = call(project, ['runs', 'journal', id, '--json'])
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const desk = json(project, 'desk', 'list').filter((item) => item.run === id)
    const approvals = desk
      .filter((item) => item.kind.endsWith('approval'))
      .map((item) => json(project, 'approvals', 'show', item.id))
    const head = json(project, 'runs', 'list').find((one) => one.execution_id === id)
    phases.push({
      upto: journal.at(-1).seq,
      show,
      head,
      graph: graph(project, show, journal),
      desk,
      approvals,
      timeline: json(project, 'runs', 'timeline', id),
    })
    return journal
  }
  let journal = take()
  if (next) {
    call(project, next(id))
    journal = take()
  }
  runs.push({ id, project, workflow: phases[0].show.workflow_id, journal, phases })
}
const input = (name) => ['--input', `@${join(work, 'clinic/inputs', name)}`]
const order = (number) => [
  '-s',
  'message=The shoes are too small, I want to return them',
  '-s',
  'name=Irene Salas',
  '-s',
  'email=irene@example.com',
  '-s',
  `order=${number}`,
]

record('norte', start('norte', 'morning_round', '-s', 'orders=["12345","99","12345"]'))
record('pipelines', start('pipelines', 'ecommerce_saga'))
record(
  'pipelines',
  start('pipelines', 'search_summarise_email', '-s', 'topic=AI technology news', '-s', 'recipient=me@example.com'),
)
record('clinic', start('clinic', 'cita', ...input('cita.json'), '--say', '10:00'))
record('clinic', start('clinic', 'appointment', ...input('appointment-declined.json'), '--say', '11:00'))
record('norte', start('norte', 'return_and_refund', ...order('99')))
record('clinic', start('clinic', 'appointment', ...input('appointment.json')), (id) => [
  'runs',
  'signal',
  id,
  '--message',
  '12:00',
])
record('clinic', start('clinic', 'first_visit', ...input('first_visit.json')), (id) => [
  'approvals',
  'approve',
  id,
  '--as',
  'olga',
])
record('norte', start('norte', 'new_address', '-s', 'order=12345'), (id) => [
  'runs',
  'answer',
  id,
  'address',
  '--form',
  '{"street":"Calle Mayor 1","city":"Madrid"}',
  '--by',
  'olga',
])
const refund = start('norte', 'return_and_refund', ...order('12345'))
call('norte', ['approvals', 'approve', refund, '--as', 'paul'])
record('norte', refund, (id) => ['approvals', 'approve', id, '--as', 'olga'])

/** The output of `baton graph` has no machine-readable bodies; the API does. */
async function addBodies(project) {
  const server = spawn(binary, ['-C', join(work, project), 'serve', '--listen', '127.0.0.1:0', '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [first] = await once(server.stdout, 'data')
  const { url, key } = JSON.parse(String(first).split('\n')[0])
  for (const run of runs.filter((one) => one.project === project)) {
    const asked = await fetch(`${url}/api/v1/executions/${run.id}/graph`, {
      headers: { authorization: `Bearer ${key}` },
    })
    const drawn = new Map((await asked.json()).nodes.map((node) => [node.id, node]))
    for (const node of run.phases.flatMap((phase) => phase.graph.nodes)) {
      const { bodies } = drawn.get(node.id) ?? {}
      if (bodies) node.bodies = bodies
    }
  }
  server.kill()
  await once(server, 'exit')
}
for (const project of Object.keys(folders)) await addBodies(project)

const workflows = ['norte:return_and_refund', 'norte:new_address', 'clinic:appointment', 'clinic:first_visit'].map(
  (name) => name.split(':')[1],
)
writeFileSync(join(here, 'fixtures/recorded.json'), `${JSON.stringify({ workflows, runs })}\n`)
rmSync(work, { recursive: true })

// The real binary, with a model whose reply the test controls. `BATON` is its path; without it this is skipped.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const binary = process.env.BATON

const files = (port) => ({
  'baton.toml': `
tenant = "norte"
[models]
provider = "house"
[models.providers.house]
base_url = "http://127.0.0.1:${port}/v1"
api_key = "none"
[models.models]
fast = "slow"
balanced = "slow"
powerful = "slow"
[models.catalogue.slow]
provider = "house"
input_usd_per_million = 0
output_usd_per_million = 0
`,
  'agents/speaker.yaml': `
type: simple
description: Answers in its own words
model_profile: fast
system_prompt: You answer.
`,
  'workflows/speak.yaml': `
name: speak
input: { message: string }
nodes:
  # A model's words are only sent for whoever looked on before it was asked.
  - {id: ready, signal: ready, deadline: 1h}
  - {id: answer, agent: speaker, task: "{{ message }}"}
edges:
  - {from: ready, to: answer}
`,
})

/** A server for OpenAI's chat completions: each request waits until the test sends its reply. */
async function upstream() {
  let heard
  const asked = new Promise((go) => {
    heard = go
  })
  const server = createServer(async (req, res) => {
    for await (const _ of req);
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    const part = (choice, more = {}) =>
      res.write(
        `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'slow', choices: [{ index: 0, ...choice }], ...more })}\n\n`,
      )
    part({ delta: { role: 'assistant', content: '' }, finish_reason: null })
    heard({
      say: (content) => part({ delta: { content }, finish_reason: null }),
      end() {
        part(
          { delta: {}, finish_reason: 'stop' },
          { usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
        )
        res.end('data: [DONE]\n\n')
      },
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, asked, port: server.address().port }
}

export async function live() {
  const { server, asked, port } = await upstream()
  const project = mkdtempSync(join(tmpdir(), 'baton-live-'))
  for (const [name, text] of Object.entries(files(port))) {
    mkdirSync(join(project, name, '..'), { recursive: true })
    writeFileSync(join(project, name), text)
  }
  const baton = spawn(binary, ['-C', project, 'serve', '--listen', '127.0.0.1:0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const gone = once(baton, 'exit')
  const stop = async () => {
    baton.kill()
    await gone
    server.closeAllConnections()
    server.close()
    rmSync(project, { recursive: true })
  }
  const first = await Promise.race([once(baton.stdout, 'data').then(([said]) => String(said)), gone.then(() => null)])
  if (!first) throw new Error(`${binary} does not serve`)
  const { url, key } = JSON.parse(first.split('\n')[0])
  const post = async (path, body) => {
    const said = await fetch(`${url}/api/v1/${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': path,
        prefer: 'wait=0',
      },
      body: JSON.stringify(body),
    })
    const run = await said.json()
    if (!said.ok) throw new Error(JSON.stringify(run))
    return run.execution_id
  }
  /** Starts a run of the one workflow, and returns its id. */
  const begin = (input) => post('workflows/execute', { workflow_id: 'speak', input_data: input, context: {} })
  const ready = (run) => post(`executions/${run}/signal`, { name: 'ready', payload: {} })
  return { url, key, asked, begin, ready, stop }
}

// The page in a real browser, against the fixture server with the binary's content security policy: user actions, by
// keyboard where possible, and axe on every screen in both themes and languages. CHROMIUM is the browser; SHOTS a
// folder for screenshots; BATON the real binary, for what a fixture cannot play. Run `npm run build` first.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { find, launch } from './browser.mjs'
import { binary, live } from './live.mjs'
import { serve } from './server.mjs'

if (!find()) {
  console.log('no Chromium: set CHROMIUM to its path. Nothing was tested.')
  process.exit(process.env.CI ? 1 : 0)
}
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const recorded = JSON.parse(readFileSync(new URL('fixtures/recorded.json', import.meta.url), 'utf8'))
const idOf = (workflow, kind) =>
  recorded.runs.find(
    (run) => run.workflow === workflow && (!kind || run.phases[0].desk.some((item) => item.kind === kind)),
  ).id
const refund = idOf('return_and_refund', 'tool_approval')
const declined = recorded.runs.find((run) => run.phases[0].show.state === 'compensated').id
const failed = recorded.runs.find((run) => run.phases[0].show.state === 'failed').id
const question = idOf('appointment', 'question')
const form = idOf('new_address', 'form')
const round = idOf('morning_round')
const shots = process.env.SHOTS
/** Concurrent tests: much of each is waiting. */
const beside = 3
if (shots) mkdirSync(shots, { recursive: true })

const browser = await launch()
let failures = 0
let passed = 0

async function open(settings, { key = 'k', viewport = { width: 1440, height: 900 }, from = serve } = {}) {
  const play = await from()
  const context = await browser.newContext({
    viewport,
    locale: 'en',
    permissions: ['clipboard-read', 'clipboard-write'],
    reducedMotion: 'reduce',
  })
  await context.addInitScript(
    ([key, settings]) => {
      if (key && !sessionStorage.getItem('begun')) sessionStorage.setItem('baton.key', key)
      sessionStorage.setItem('begun', '1')
      if (!localStorage.getItem('baton.settings'))
        localStorage.setItem('baton.settings', JSON.stringify({ theme: 'light', language: 'en', ...settings }))
    },
    [play.key ?? key, settings],
  )
  const page = await context.newPage()
  const complaints = []
  page.setDefaultTimeout(10_000)
  page.on('console', (message) => {
    // The browser logs an expected refusal as an error: ignore it. A policy violation is a real error.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('request', (request) => {
    if (!request.url().startsWith(play.url)) complaints.push(`a request left the origin: ${request.url()}`)
  })
  const go = (path) => page.goto(play.url + path)
  const close = async () => {
    await context.close()
    await play.stop()
  }
  return { page, go, close, play, complaints, text: (words) => page.getByText(words).first().waitFor() }
}

const only = process.argv[2]
const tests = []
/** Registers a test: concurrent with others, unless it measures. */
function test(name, settings, run, more = {}) {
  if (!only || name.includes(only)) tests.push({ name, settings, run, more })
}

async function runOne({ name, settings, run, more }) {
  const at = await open(settings, more)
  const began = performance.now()
  const took = () => `${((performance.now() - began) / 1000).toFixed(1)} s`
  try {
    await run(at)
    assert.deepEqual(at.complaints, [])
    passed++
    console.log(`ok   ${name} (${took()})`)
  } catch (error) {
    failures++
    if (shots) await at.page.screenshot({ path: `${shots}/failed.png` }).catch(() => {})
    console.log(`FAIL ${name} (${took()})\n${error.stack}`)
  }
  await at.close()
}

test(
  'signing in, with a wrong key first, and out',
  {},
  async ({ page, go, text }) => {
    await go('/runs')
    await page.getByLabel('API key').fill('wrong')
    await page.keyboard.press('Enter')
    await text('The server does not know this key.')
    await page.getByLabel('API key').fill('right')
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'return_and_refund' }).first().waitFor()
    await page.reload()
    await page.getByRole('link', { name: 'return_and_refund' }).first().waitFor()
    await page.keyboard.press('Control+k')
    await page.keyboard.type('sign out')
    await page.keyboard.press('Enter')
    await page.getByLabel('API key').waitFor()
  },
  { key: null },
)

test('the list shows the customer and version of each run', {}, async ({ page, go }) => {
  await go('/runs')
  const row = page.locator(`tr[data-run="${refund}"]`)
  await row.getByText('Irene Salas').waitFor()
  await row.getByTitle('Version 1.0.0, revision 1').waitFor()
  // A deleted or unknown version shows its hash.
  await page.route('**/workflows/*/versions', (route) => route.fulfill({ json: { versions: [] } }))
  await page.reload()
  const { bundle } = recorded.runs.find((run) => run.id === refund).journal[0].events[0].started
  await row.getByText(bundle.slice(0, 7)).waitFor()
  await go(`/runs/${refund}`)
  await page.getByRole('definition').filter({ hasText: 'Irene Salas' }).waitFor()
})

test('runs by keyboard: down, open, back to the same row', {}, async ({ page, go, text }) => {
  await go('/runs')
  await page.getByRole('link', { name: 'return_and_refund' }).first().waitFor()
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/runs\/.+/)
  await text('If you rolled back now')
  await page.goBack()
  await page.getByRole('link', { name: 'new_address' }).first().waitFor()
})

test('filters are in the URL, an empty list offers to clear them, more pages load', {}, async ({ page, go, text }) => {
  await go('/runs?state=paused')
  await text('No run matches these filters.')
  await page.getByRole('button', { name: 'Clear filters' }).last().click()
  await page.waitForURL(/\/runs$/)
  const shows = (rows) =>
    page.waitForFunction((rows) => document.querySelectorAll('tbody tr[data-run]').length === rows, rows)
  await shows(4)
  await page.getByRole('button', { name: 'More' }).click()
  await shows(8)
  await page.getByLabel('State').selectOption('compensated')
  await page.waitForURL(/state=compensated/)
  await text('PAYMENT_DECLINED')
})

test(
  'ten thousand runs: pages load on scroll, and few rows are rendered in every frame',
  {},
  async ({ page, go, play }) => {
    await fetch(`${play.url}/test/many?n=10000`)
    await go('/runs')
    await page.locator('tr[data-run=crowd-10000]').waitFor()
    const box = page.locator('table').locator('..')
    for (let at = 0; (await page.locator('tr[data-run=crowd-00001]').count()) === 0; at++) {
      assert.ok(at < 400, 'the last run never came')
      await box.evaluate((one) => {
        one.scrollTop = one.scrollHeight
      })
      await page.waitForTimeout(20)
    }
    const frames = await box.evaluate(async (one) => {
      const frames = []
      let last = performance.now()
      for (let i = 0; i < 120; i++) {
        one.scrollTop -= 400
        await new Promise((go) => requestAnimationFrame(go))
        frames.push({ took: performance.now() - last, rows: one.querySelectorAll('tr[data-run]').length })
        last = performance.now()
      }
      return frames
    })
    for (const { rows } of frames) assert.ok(rows > 0 && rows < 100, `${rows} rows were drawn in a frame`)
    // The row at the end of the scroll is a run, and not one visible at the start.
    await page.waitForFunction(() => {
      const { left, top, width, height } = document.querySelector('table').parentElement.getBoundingClientRect()
      const seen = document.elementFromPoint(left + width / 2, top + height / 2)?.closest('tr[data-run]')
      return seen && Number(seen.dataset.run.split('-')[1]) > 500
    })
    // Frame times depend on the machine: logged, not asserted.
    const took = frames.map((frame) => frame.took).sort((a, b) => a - b)
    console.log(
      `     frames while 24,000 pixels pass in a second: median ${took[60].toFixed(0)} ms, p95 ${took[114].toFixed(0)} ms`,
    )
  },
  { alone: true },
)

test('bulk actions show the number and the consequence, and list refusals', {}, async ({ page, go, text, play }) => {
  await go('/runs')
  await page.getByRole('link', { name: 'return_and_refund' }).first().waitFor()
  for (const key of ['j', 'x', 'j', 'x', 'j', 'x']) await page.keyboard.press(key)
  await text('3 selected')
  await page.getByRole('button', { name: 'Cancel…' }).click()
  await text('Cancel 3 runs')
  await page.getByRole('button', { name: 'Cancel the runs' }).click()
  await text('3 runs cancelled')
  assert.equal(play.state.posts.filter((post) => post.path.endsWith('/cancel')).length, 3)
  assert.equal(await page.getByText('3 selected').count(), 0)
  await page.getByLabel('State').selectOption('failed')
  await page.getByRole('checkbox', { name: 'Select all that are listed' }).check()
  await text('1 selected')
  await page.keyboard.press('e')
  await page.getByRole('button', { name: 'Retry', exact: true }).click()
  await text('the run is not failed any more')
})

test(
  'a key that may not act on runs has no selection',
  {},
  async ({ page, go }) => {
    await go('/runs')
    await page.getByRole('link', { name: 'return_and_refund' }).first().waitFor()
    assert.equal(await page.getByRole('checkbox').count(), 0)
  },
  { key: 'builder' },
)

test('a run goes live from approval to its end', {}, async ({ page, go, text, play }) => {
  await go(`/runs/${refund}`)
  await text('Waiting for a person')
  await page.getByRole('button', { name: 'Approve…' }).click()
  await page.keyboard.type('seen the order')
  await page.getByRole('button', { name: 'Approve', exact: true }).click()
  await text('Completed')
  await page.getByRole('button', { name: /^Tell the customer.*tool, Completed/ }).waitFor()
  const post = play.state.posts.at(-1)
  assert.equal(post.body.reason, 'seen the order')
})

test('a lost stream is reported, and resumes where it broke', {}, async ({ page, go, text, play }) => {
  await go(`/runs/${question}`)
  await text('live')
  await fetch(`${play.url}/test/cut?on=1`)
  await text(/Reconnecting, last update/)
  await fetch(`${play.url}/test/cut?on=0`)
  await page.getByText('live', { exact: true }).first().waitFor({ timeout: 20_000 })
})

test('a question is answered in the step panel, by keyboard, and the booking follows', {}, async ({
  page,
  go,
  text,
}) => {
  await go(`/runs/${question}`)
  await page.getByLabel('Answer in the customer’s place').fill('12:00')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  // The run's own state: its steps complete before it does.
  await page.locator('header').first().getByText('Completed').waitFor()
  // The whole run, whichever step was selected meanwhile.
  await go(`/runs/${question}`)
  await page.getByRole('tab', { name: /Journal/ }).click()
  await page.getByRole('button', { name: /signal_kept/ }).click()
  await text('"text": "12:00"')
  await page.getByRole('button', { name: 'Copy as JSON' }).click()
  const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()))
  assert.equal(copied[0].seq, 1)
})

test('a draft stays when the task inbox lists the same question after the run', {}, async ({ page, go, text }) => {
  let tell
  const asked = new Promise((go) => {
    tell = go
  })
  await page.route('**/api/v1/desk', async (route) => {
    await asked
    const { items } = await (await route.fetch()).json()
    await route.fulfill({ json: { items: items.map((item) => ({ ...item, title: 'Told by the desk' })) } })
  })
  await go(`/runs/${question}`)
  const answer = page.getByLabel('Answer in the customer’s place')
  await answer.fill('12:00')
  tell()
  await text('Told by the desk')
  assert.equal(await answer.inputValue(), '12:00')
  assert.equal(await answer.evaluate((field) => field === document.activeElement), true)
})

test('a model reply streams into its step, restarts with another model, and goes when recorded', {}, async ({
  page,
  go,
  text,
  play,
}) => {
  await go(`/runs/${question}?step=offer`)
  await text('live')
  const spoken = play.speaks()
  await page.getByLabel('Answer in the customer’s place').fill('12:00')
  await page.getByRole('button', { name: 'Send', exact: true }).click()
  const { say, again, end } = await spoken
  const saying = page.locator('section', { has: page.getByRole('heading', { name: 'Saying now' }) })
  say('Let me se')
  await saying.getByText('Let me se', { exact: true }).waitFor()
  say('e what is free.')
  await saying.getByText('Let me see what is free.', { exact: true }).waitFor()
  if (shots) await page.screenshot({ path: `${shots}/saying.png` })
  await clean(page, 'a model speaks', 'aside')
  again()
  await saying.waitFor({ state: 'detached' })
  say('At noon, then.')
  await saying.getByText('At noon, then.', { exact: true }).waitFor()
  end()
  await saying.waitFor({ state: 'detached' })
  await page.locator('header').first().getByText('Completed').waitFor()
})

if (binary)
  test(
    'the reply of a slow model streams through the binary to the page',
    {},
    async ({ page, go, play }) => {
      const run = await play.begin({ message: 'Hello' })
      await go(`/runs/${run}?step=answer`)
      await page.getByText('live', { exact: true }).waitFor()
      await play.ready(run)
      const { say, end } = await play.asked
      const saying = page.locator('section', { has: page.getByRole('heading', { name: 'Saying now' }) })
      say('Good mor')
      await saying.getByText('Good mor', { exact: true }).waitFor()
      say('ning.')
      await saying.getByText('Good morning.', { exact: true }).waitFor()
      end()
      await saying.waitFor({ state: 'detached' })
      await page.locator('header').first().getByText('Completed').waitFor()
      await page.getByRole('complementary', { name: 'Step' }).getByText('"Good morning."').first().waitFor()
    },
    { from: live },
  )
else console.log('BATON is not set: skipping the real binary.')

test('a form is filled in', {}, async ({ page, go, text, play }) => {
  await go(`/runs/${form}`)
  await page.getByLabel('City').fill('Madrid')
  await page.getByRole('button', { name: 'Send' }).click()
  await text('Needed')
  await page.getByLabel('Street and number').fill('Calle Mayor 1')
  await page.getByRole('button', { name: 'Send' }).click()
  await text('Completed')
  assert.deepEqual(play.state.posts.at(-1).body, {
    to: 'address',
    form: { city: 'Madrid', street: 'Calle Mayor 1', express: false },
  })
})

test('cancelling names what will be undone, and Escape does nothing', {}, async ({ page, go, text, play }) => {
  await go(`/runs/${refund}`)
  await page.getByRole('button', { name: 'Cancel…' }).click()
  await text('These stay as they are')
  await page.keyboard.press('Escape')
  assert.equal(play.state.posts.length, 0)
  await page.getByRole('button', { name: 'Cancel…' }).click()
  await page.getByText('Undo what it did, too').click()
  await text('In this order')
  await page.getByRole('button', { name: 'Cancel and undo' }).click()
  await text('Cancelled')
  assert.deepEqual(play.state.posts.at(-1).body, { compensate: true })
})

test('a retry that comes too late shows an error in the sheet', {}, async ({ page, go, text }) => {
  await go(`/runs/${failed}`)
  await text('ORDER_NOT_FOUND')
  await page.keyboard.press('r')
  await page.getByRole('button', { name: 'Retry', exact: true }).click()
  await text('the run is not failed any more')
})

test('a fork starts at the chosen step, with the changed variables', {}, async ({ page, go, text, play }) => {
  await go(`/runs/${declined}?step=offer`)
  await page.getByRole('button', { name: 'Fork…' }).click()
  await text('3 steps before it are taken over.')
  const variables = page.getByLabel('Variables of the new run')
  await variables.fill('{')
  await text('This is no JSON object.')
  await variables.fill('{"language": "es", "prices": {"botox": 250, "consultation": 40, "peeling": 120}}')
  await page.getByRole('button', { name: 'Fork', exact: true }).click()
  await text('Forked: this is the new run')
  assert.equal(page.url().includes(declined), false)
  const post = play.state.posts.at(-1)
  assert.match(post.path, /\/fork$/)
  assert.deepEqual(post.body, { node_id: 'offer', variables: { language: 'es' }, owns_undo: false })
})

test('steps and tabs by keyboard, the chosen step in the URL', {}, async ({ page, go, text }) => {
  await go(`/runs/${declined}`)
  await text('What was undone')
  await page.keyboard.press('k')
  await page.waitForURL(/step=reach_card/)
  await page.keyboard.press('4')
  await page.waitForURL(/tab=costs/)
  await text('Tokens in')
  await page.keyboard.press('5')
  await text('google_calendar')
  await page.keyboard.press('?')
  await text('Next step')
})

test('the bodies of a loop: by keyboard into a branch, to another pass, collapse and expand', {}, async ({
  page,
  go,
}) => {
  await go(`/runs/${round}`)
  const node = (name) => page.locator(`[data-node="${name}"]`)
  await node('each_return').focus()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.waitForURL(/step=each_return%5B1%5D%2Ffind/)
  await page.getByText('there is no order of that number').first().waitFor()
  await page.getByRole('button', { name: 'Each return: the pass before' }).focus()
  await page.keyboard.press('Enter')
  await node('each_return[0]/side_by_side.words/check').waitFor()
  await page.getByText('1 of 3', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Hide what is in Each return' }).click()
  assert.equal(await node('each_return[0]/find').count(), 0)
  await page.getByRole('button', { name: 'Show what is in Each return' }).click()
  await node('each_return[0]/find').waitFor()
})

test('approvals by keyboard: the next, reject with a reason', {}, async ({ page, go, text, play }) => {
  await go('/approvals')
  await text('Exactly this will run')
  await page.keyboard.press('j')
  await page.getByRole('heading', { name: 'Mary Brown asks for a first visit' }).waitFor()
  await page.keyboard.press('r')
  await page.keyboard.type('no new patients')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await text('Refused')
  assert.match(play.state.posts.at(-1).path, /review\/reject$/)
  assert.equal(play.state.posts.at(-1).body.reason, 'no new patients')
})

test('a conversation from the first message to the booking', {}, async ({ page, go, text, play }) => {
  await go('/chat/appointment')
  await page.getByLabel('First message').fill('Hello, I would like a botox appointment on Tuesday')
  await page.keyboard.press('Enter')
  await page.getByText('Needed').first().waitFor()
  for (const [name, value] of [
    ['card', 'visa-0001'],
    ['email', 'a@b.c'],
    ['name', 'Ana'],
    ['phone', '+34 600'],
  ])
    await page.getByLabel(name).fill(value)
  await page.getByLabel('First message').focus()
  await page.keyboard.press('Enter')
  await text('Which one suits you?')
  await page.getByLabel('Message', { exact: true }).fill('12:00')
  await page.keyboard.press('Enter')
  await text(/Appointment confirmed/)
  assert.equal(play.state.posts[0].body.input_data.card, 'visa-0001')
  await page.keyboard.press('Escape')
  await page.getByRole('link', { name: 'See the run' }).click()
  await text('If you rolled back now')
})

test('a handover by keyboard: look, take over, use the suggestion, answer, note, resolve', {}, async ({
  page,
  go,
  text,
  play,
}) => {
  await go('/inbox')
  await text('You hold the baton')
  await text('not seen by the customer')
  await text('CARD_EXPIRED')
  await page.keyboard.press('r')
  await page.keyboard.press('Tab')
  const reply = page.getByRole('textbox', { name: 'Reply' })
  assert.match(await reply.inputValue(), /three to five working days/)
  await page.keyboard.press('Control+Enter')
  await page.getByRole('log').getByText('three to five working days').waitFor()
  assert.deepEqual(play.state.posts.at(-1).body.number, 3)
  await play.people.customerSays('conv-lucia', 'Good to know, bye!')
  await page.getByRole('log').getByText('Good to know, bye!').waitFor()
  await page.getByRole('heading', { name: 'Lucía Ferrer' }).click()
  await page.keyboard.press('e')
  await page.getByRole('button', { name: 'Open again' }).waitFor()
  await page.getByRole('button', { name: /Tomás Vidal/ }).click()
  await page.getByRole('heading', { name: 'Tomás Vidal' }).waitFor()
  await text('Nobody holds the baton: you cannot write yet.')
  await page.keyboard.press('t')
  await text('You hold the baton')
  await page.keyboard.press('n')
  await page.keyboard.type('ask the carrier')
  await page.keyboard.press('Control+Enter')
  await page.getByRole('log').getByText('ask the carrier').waitFor()
  await page.getByRole('heading', { name: 'Tomás Vidal' }).click()
  await page.keyboard.press('b')
  await page.getByRole('textbox', { name: 'Note to the agent' }).fill('A new parcel goes out.')
  await page.getByRole('button', { name: 'Give back', exact: true }).click()
  await text('The agent holds the baton')
  assert.deepEqual(play.state.posts.at(-1).body, { note: 'A new parcel goes out.' })
})

test('presence by keyboard: away explains the empty queue, offline asks first, open conversations go back', {}, async ({
  page,
  go,
  text,
  play,
}) => {
  await go('/inbox')
  await page.getByRole('button', { name: 'Presence: Online' }).waitFor()
  await text('1 of 5')
  await page.keyboard.press('p')
  await page.getByRole('menu', { name: 'Presence' }).waitFor()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await text('You are away: nothing new is given to you, and you keep what you have.')
  assert.deepEqual(play.state.puts.at(-1), {
    path: '/api/v1/human-agents/olga/presence',
    body: { status: 'away' },
    once: false,
  })
  // From the command palette; nothing is sent before it is confirmed.
  await page.keyboard.press('Control+k')
  await page.keyboard.type('offline')
  await page.keyboard.press('Enter')
  await text('1 conversation is with you.')
  assert.equal(play.people.olga.status, 'away')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Presence: Away' }).click()
  await page.getByRole('menuitemradio', { name: 'Offline' }).click()
  await page.getByRole('button', { name: 'Go offline' }).click()
  await text('You are offline: nothing is given to you.')
  await text('0 of 5')
  await page.getByRole('button', { name: 'Go online' }).click()
  await page.getByRole('button', { name: 'Presence: Online' }).waitFor()
  await page.getByText('You are offline').waitFor({ state: 'detached' })
})

test('activity on any screen sends a heartbeat, and the server decides', {}, async ({ page, go, text, play }) => {
  await go('/runs')
  await page.getByRole('button', { name: 'Presence: Online' }).waitFor()
  // No heartbeat for long.
  play.people.olga.status = 'offline'
  await page.getByRole('button', { name: 'Presence: Offline' }).waitFor()
  await page.route('**/presence', (route) => route.fulfill({ status: 503, json: { detail: 'the desk is not there' } }))
  await page.keyboard.press('p')
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('Enter')
  await text('the desk is not there')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Presence: Offline' }).waitFor()
})

test(
  'a key for human agents without an agent gets a notice',
  {},
  async ({ page, go, text }) => {
    await go('/inbox')
    await text('You are not on the desk')
    assert.equal(await page.getByRole('button', { name: /^Presence/ }).count(), 0)
  },
  { key: 'newcomer' },
)

test('a lost race for a conversation shows a message with the other agent', {}, async ({ page, go, text, play }) => {
  await go('/inbox/conv-hugo')
  await text('Nobody holds the baton: you cannot write yet.')
  await page.route('**/take-over', async (route) => {
    play.people.takenBy('conv-hugo', 'rosa')
    await route.continue()
  })
  await page.getByRole('button', { name: 'Take over' }).click()
  await text('owns the conversation, under number')
  await text('rosa holds the baton')
  assert.equal(await page.getByRole('button', { name: 'Send' }).count(), 0)
})

test('a resolved conversation is listed, and can be reopened', {}, async ({ page, go, text }) => {
  await go('/inbox')
  await page.getByRole('button', { name: 'Resolved', exact: true }).click()
  await page.getByRole('heading', { name: 'Nadia Roca' }).waitFor()
  await page.getByRole('button', { name: 'Open again' }).click()
  await text('Nobody holds the baton: you cannot write yet.')
})

test(
  'g and a letter go to a screen; human agents see only work',
  {},
  async ({ page, go, text }) => {
    await go('/')
    await page.waitForURL(/\/inbox/)
    await text('You hold the baton')
    await page.keyboard.press('g')
    await page.keyboard.press('a')
    await text('Exactly this will run')
    assert.equal(await page.getByRole('link', { name: 'Runs', exact: true }).count(), 0)
  },
  { key: 'agent' },
)

test('an error is shown in place, with a retry button', {}, async ({ page, go, play }) => {
  await go('/runs')
  await page.getByRole('link', { name: 'return_and_refund' }).first().waitFor()
  await fetch(`${play.url}/test/fail?on=1`)
  await page.getByRole('link', { name: 'Approvals' }).click()
  await page.keyboard.press('g')
  await page.keyboard.press('t')
  await page.getByText('the store did not answer').first().waitFor({ timeout: 15_000 })
  await fetch(`${play.url}/test/fail?on=0`)
  await page.getByRole('button', { name: 'Try again' }).first().click()
  await page.getByLabel('First message').waitFor()
})

const screens = [
  ['runs', '/runs'],
  ['run', `/runs/${refund}`],
  ['run-undone', `/runs/${declined}`],
  ['run-journal', `/runs/${question}?tab=journal`],
  ['run-costs', `/runs/${refund}?tab=costs&step=check_return`],
  ['run-form', `/runs/${form}`],
  ['run-nested', `/runs/${round}`],
  ['approvals', '/approvals'],
  ['inbox', '/inbox'],
  ['inbox-waiting', '/inbox/conv-tomas'],
  ['chat', '/chat/appointment'],
  ['chat-run', `/chat/appointment?run=${question}`],
]
/** On a slow machine a screen stays a skeleton for long. */
const settled = (page) => page.waitForFunction(() => !document.querySelector('#main [aria-busy=true]'))
async function clean(page, where, within = 'html') {
  await page.evaluate(axe)
  const { violations } = await page.evaluate((within) => globalThis.axe.run(within), within)
  assert.deepEqual(
    violations.map(
      (one) =>
        `${where}: ${one.id}: ${one.nodes
          .map((node) => `${node.html} ${node.failureSummary}`)
          .slice(0, 3)
          .join(' | ')}`,
    ),
    [],
  )
}
for (const theme of ['light', 'dark'])
  for (const language of ['en', 'es']) {
    test(`axe finds nothing, ${theme}, ${language}`, { theme, language }, async ({ page, go, play }) => {
      for (const [name, path] of screens) {
        await go(path)
        await page.waitForLoadState('networkidle', { timeout: 700 }).catch(() => {})
        await page.waitForTimeout(250)
        await settled(page)
        if (shots) await page.screenshot({ path: `${shots}/${name}-${theme}-${language}.png` })
        await clean(page, name)
        const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
        assert.equal(wide, false, `${name} is wider than the window`)
      }
      await page.keyboard.press('Control+k')
      await page.getByRole('listbox').waitFor()
      if (shots) await page.screenshot({ path: `${shots}/list-${theme}-${language}.png` })
      await clean(page, 'command list')
      await page.keyboard.press('Escape')
      await go(`/runs/${refund}`)
      await page.getByRole('button', { name: language === 'en' ? 'Cancel…' : 'Cancelar…' }).click()
      await page.getByRole('dialog').waitFor()
      if (shots) await page.screenshot({ path: `${shots}/sheet-${theme}-${language}.png` })
      await clean(page, 'sheet')
      play.people.olga.status = 'away'
      await go('/inbox')
      await page
        .locator('#main')
        .getByRole('button', { name: language === 'en' ? 'Go online' : 'Ponerse en línea' })
        .waitFor()
      await settled(page)
      await clean(page, 'inbox while away')
      await page.keyboard.press('p')
      await page.getByRole('menu').waitFor()
      if (shots) await page.screenshot({ path: `${shots}/presence-${theme}-${language}.png` })
      await clean(page, 'presence')
    })
    test(
      `axe finds nothing before signing in, ${theme}, ${language}`,
      { theme, language },
      async ({ page, go }) => {
        await go('/')
        await page.locator('input[type=password]').waitFor()
        if (shots) await page.screenshot({ path: `${shots}/sign-in-${theme}-${language}.png` })
        await clean(page, 'sign in')
      },
      { key: null },
    )
  }

for (const [width, height] of [
  [1180, 800],
  [640, 900],
])
  test(
    `nothing is wider than a window of ${width}`,
    {},
    async ({ page, go }) => {
      for (const [name, path] of screens) {
        await go(path)
        await page.waitForTimeout(500)
        await settled(page)
        if (shots) await page.screenshot({ path: `${shots}/${name}-${width}.png` })
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, name)
      }
    },
    { viewport: { width, height } },
  )

for (const one of tests.filter(({ more }) => more.alone)) await runOne(one)
const rest = tests.filter(({ more }) => !more.alone)
const work = async () => {
  for (let next = rest.shift(); next; next = rest.shift()) await runOne(next)
}
await Promise.all(Array.from({ length: beside }, work))
await browser.close()
console.log(`${passed} passed, ${failures} failed`)
process.exit(failures ? 1 : 0)

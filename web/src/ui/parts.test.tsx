import { afterEach, expect, test, vi } from 'vitest'
import recorded from '../../test/fixtures/recorded.json'
import { Problem as ApiProblem } from '../api/problem'
import type { Entry, Graph, TaskItem } from '../api/schema'
import { splitTime } from '../graph/time-split'
import { foldJournal, spans } from '../graph/timeline'
import { onKey, register } from './commands'
import { Decision } from './decision'
import { LiveGraph } from './live-graph'
import { begin, read } from './schema-form'
import { Problem, Skeleton } from './states'
import { draw, named, press, type, violations } from './testing'
import { TimeSplitBar, TimeSplitLegend } from './time-split'

const items = recorded.runs.flatMap((run) =>
  run.phases.flatMap((phase) => [...phase.desk.filter((one) => !one.kind.endsWith('approval')), ...phase.approvals]),
) as unknown as TaskItem[]
const item = (kind: string) => items.find((one) => one.kind === kind) as TaskItem

afterEach(() => vi.unstubAllGlobals())
const server = (answer: () => Response) => {
  const fetchMock = vi.fn(async (..._: unknown[]) => answer())
  vi.stubGlobal('fetch', fetchMock)
  return fetchMock
}
const sent = (fetchMock: ReturnType<typeof server>) => {
  const [path, init] = fetchMock.mock.calls.find(([, one]) => (one as RequestInit)?.method === 'POST') ?? []
  return {
    path,
    body: JSON.parse(((init as RequestInit)?.body as string) ?? 'null'),
    headers: (init as RequestInit)?.headers as Record<string, string>,
  }
}

test('an approval shows the exact arguments, and needs more than one press', async () => {
  const fetchMock = server(() => Response.json({ name: 'olga' }))
  const place = await draw(<Decision item={item('tool_approval')} />)
  expect(place.textContent).toContain('1 of 2 approvals')
  expect([...place.querySelectorAll('tr')].map((row) => row.textContent)).toEqual([
    'amount184',
    'currency"USD"',
    'payment_id"pay_8812"',
    'reason"wrong size, unworn"',
  ])
  expect(await violations(place)).toEqual([])
  await press(named(place, 'Approve…'))
  expect(fetchMock.mock.calls.filter(([, how]) => (how as RequestInit).method === 'POST')).toEqual([])
  expect(await violations(place)).toEqual([])
  await press(named(place, 'Approve'))
  expect(sent(fetchMock)).toMatchObject({
    path: `/api/v1/approvals/${encodeURIComponent(item('tool_approval').id)}/approve`,
    body: { reason: '' },
  })
  expect(sent(fetchMock).headers['idempotency-key']).toBeTruthy()
})

test('actions that the server would refuse are explained, not offered', async () => {
  const buttons = (place: HTMLElement) => [...place.querySelectorAll('button')].map((one) => one.textContent)
  const check = async (more: Partial<TaskItem>, text: string, offered: string[]) => {
    server(() => Response.json({ name: 'olga', role: 'operator' }))
    const place = await draw(<Decision item={{ ...item('tool_approval'), ...more }} />)
    await vi.waitFor(() => expect(place.textContent).toContain(text))
    expect(buttons(place).filter((one) => one?.endsWith('…'))).toEqual(offered)
    expect(await violations(place)).toEqual([])
  }
  await check({ asked_by: 'olga' }, 'You asked for this', ['Refuse…'])
  await check({ approved_by: ['olga'] }, 'You have approved this', ['Refuse…'])
  const others = { ...item('tool_approval').details, from: ['paul', 'rosa'] }
  await check({ details: others }, 'Others decide this: paul, rosa.', [])
  // As the server returns it: a run started with another user's `user_id`, and a key without the role.
  await check({ asked_by: 'ana', may: ['reject'] }, 'You asked for this', ['Refuse…'])
  const manager = { ...item('approval').details, assignees: { role: 'manager' } }
  await check({ details: manager, kind: 'approval', may: [] }, 'Others decide this: manager.', [])
  await check({ may: ['approve', 'reject'] }, 'Exactly this will run', ['Approve…', 'Refuse…'])
})

test('a read-only key can neither approve nor reject', async () => {
  server(() => Response.json({ name: 'builder', role: 'builder' }))
  for (const more of [{}, { may: [] }]) {
    const place = await draw(<Decision item={{ ...item('tool_approval'), ...more }} />)
    await vi.waitFor(() => expect(place.textContent).toContain('Your key may look at this'))
    expect([...place.querySelectorAll('button')]).toEqual([])
  }
  const place = await draw(<Decision item={{ ...item('form'), may: [] }} />)
  expect([...place.querySelectorAll('button')]).toEqual([])
})

test('a rejection carries its reason, and a server error is shown in place', async () => {
  const fetchMock = server(() =>
    Response.json({ code: 'RUN-007', detail: 'it was decided a moment ago', hint: 'look again' }, { status: 409 }),
  )
  const place = await draw(<Decision item={item('approval')} />)
  await press(named(place, 'Refuse…'))
  await type(place.querySelector('textarea') as HTMLTextAreaElement, 'no new patients')
  await press(named(place, 'Refuse'))
  expect(sent(fetchMock)).toMatchObject({
    path: expect.stringMatching(/\/reject$/),
    body: { reason: 'no new patients' },
  })
  expect(place.querySelector('[role=alert]')?.textContent).toContain('it was decided a moment ago')
})

test('a form is rendered from its schema, and not sent while incomplete', async () => {
  const fetchMock = server(() => Response.json({}))
  const place = await draw(<Decision item={item('form')} />)
  expect(await violations(place)).toEqual([])
  await press(named(place, 'Send'))
  expect(fetchMock).not.toHaveBeenCalled()
  expect(place.querySelectorAll('[aria-invalid=true]')).toHaveLength(2)
  for (const [label, text] of [
    ['City', 'Madrid'],
    ['Street and number', 'Calle Mayor 1'],
  ] as const) {
    const id = [...place.querySelectorAll('label')].find((one) => one.textContent?.startsWith(label))?.htmlFor
    await type(document.getElementById(id ?? '') as HTMLInputElement, text)
  }
  await press(named(place, 'Send'))
  expect(sent(fetchMock)).toMatchObject({
    path: expect.stringMatching(/\/answer$/),
    body: { to: 'address', form: { city: 'Madrid', street: 'Calle Mayor 1', express: false } },
  })
})

test('a form parses numbers, choices and JSON, and reports invalid fields', () => {
  const schema = {
    required: ['n'],
    properties: {
      n: { type: 'integer' },
      c: { enum: [1, 2] },
      o: { type: 'object' },
      b: { type: 'boolean', default: true },
      s: { type: 'string', default: 'x' },
    },
  }
  expect(begin(schema)).toEqual({ n: '', c: '', o: '', b: true, s: 'x' })
  expect(read(schema, { n: '3', c: '2', o: '{"a":1}', b: true, s: '' }).value).toEqual({
    n: 3,
    c: 2,
    o: { a: 1 },
    b: true,
  })
  expect(read(schema, { n: '3.5', o: '{', b: false }).wrong).toEqual({ n: 'number', o: 'json' })
  expect(read(schema, {}).wrong).toEqual({ n: 'needed' })
})

test('a question is answered in the customer’s place', async () => {
  const fetchMock = server(() => Response.json({}))
  const place = await draw(<Decision item={item('question')} />)
  await type(place.querySelector('textarea') as HTMLTextAreaElement, ' 12:00 ')
  await press(named(place, 'Send'))
  expect(sent(fetchMock)).toMatchObject({ path: expect.stringMatching(/\/signal$/), body: { message: '12:00' } })
})

test('the time split and the graph are accessible', async () => {
  const run = recorded.runs.at(-1)
  const timeline = foldJournal(run?.journal as unknown as Entry[])
  const bar = splitTime(spans(timeline, timeline.ended ?? 0))
  let chosen = ''
  const place = await draw(
    <>
      <TimeSplitBar split={bar} />
      <TimeSplitLegend split={bar} />
      <LiveGraph
        graph={run?.phases.at(-1)?.graph as unknown as Graph}
        timeline={timeline}
        selected={null}
        onSelect={(node) => (chosen = node)}
        now={0}
      />
    </>,
  )
  expect(place.querySelector('[role=img]')?.getAttribute('aria-label')).toMatch(/^Who held the baton: Agents/)
  expect(await violations(place)).toEqual([])
  await press(
    [...place.querySelectorAll('button')].find((one) => /^Refund payment.*tool, Completed/.test(one.textContent ?? '')),
  )
  expect(chosen).toBe('refund')
})

test('fast loads show no skeleton', async () => {
  const place = await draw(<Skeleton />)
  expect(place.querySelector('[role=status]')).toBeNull()
})

test('a missing permission is reported without a retry button', async () => {
  const place = await draw(
    <Problem problem={new ApiProblem(403, 'API-003', 'needs the role operator')} onRetry={() => {}} />,
  )
  expect(place.textContent).toContain('This key may not do that.')
  expect(place.querySelector('button')).toBeNull()
})

test('shortcuts work as single keys and sequences, and never in a field', () => {
  const done: string[] = []
  const off = register(
    ['j', 'g r', 'mod+k'].map((keys) => ({ id: keys, title: keys, group: '', keys, run: () => done.push(keys) })),
  )
  const key = (name: string, more: object = {}, target: EventTarget = document.body) => {
    const event = new KeyboardEvent('keydown', { key: name, bubbles: true, ...more })
    Object.defineProperty(event, 'target', { value: target })
    onKey(event)
  }
  key('j')
  key('g')
  key('r')
  key('r')
  key('j', {}, document.createElement('textarea'))
  key('k', { ctrlKey: true }, document.createElement('input'))
  off()
  key('j')
  expect(done).toEqual(['j', 'g r', 'mod+k'])
})

import { act } from 'react'
import { afterEach, expect, test, vi } from 'vitest'
import type { ConversationHead, InboxConversation, Line } from '../../api/conversation'
import { draw, named, press, type, violations } from '../../ui/testing'
import { AvailabilityBanner } from './availability-banner'
import { Composer } from './composer'
import { Queue } from './queue'
import { Thread } from './thread'
import { byWait } from './words'

afterEach(() => vi.unstubAllGlobals())

const head: ConversationHead = {
  conversation_id: '01a2058c-c224-76b8-ade5-1f170238a869',
  workflow_id: 'refunds',
  state: 'human_active',
  hil_reason: 'explicit_request',
  owner: 'person',
  assigned_agent_id: 'olga',
  number: 7,
  user_id: 'Ana',
  channel: 'web',
  confidence_score: null,
  created_at: '2026-11-22T10:00:00Z',
  updated_at: '2026-11-22T10:05:00Z',
  total_cost_usd: 0,
  last_message: 'Hello?',
  status: 'escalated',
  is_hil: true,
  messages: 1,
  runs: 1,
}
const conversation: InboxConversation = {
  ...head,
  handover_context: {
    trigger: 'explicit_request',
    reason: 'real person',
    summary: '',
    skills: [],
    tried: [],
    pending_approvals: [],
    lines: 1,
    suggested_reply: 'I can help.',
  },
  execution_id: null,
  waiting_since: '2026-11-22T10:01:00Z',
  first_response_at: null,
  reopened: 0,
}
const line = (number: number, from: Line['from'], text: string, name: string | null = null): Line => ({
  number,
  at: '2026-11-22T10:02:00Z',
  from,
  name,
  text,
  execution_id: null,
  internal: from === 'note',
  after_gap: false,
})
const ctrlEnter = (field: Element | null) =>
  field?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true }))

test('authors differ without colour, and the suggested reply is not a message', async () => {
  const lines = [
    line(1, 'customer', 'A person, please'),
    line(2, 'suggestion', 'Never shown'),
    line(3, 'person', 'Here I am', 'olga'),
    line(4, 'note', 'Knows the shop', 'paul'),
  ]
  const place = await draw(<Thread conversation={conversation} lines={lines} me="olga" />)
  const text = place.textContent ?? ''
  for (const part of ['Customer, ', 'You, ', 'paul, ', 'not seen by the customer']) expect(text).toContain(part)
  expect(text).not.toContain('Never shown')
  // The handover was after the first line.
  expect(text.indexOf('The agent passed the baton')).toBeGreaterThan(text.indexOf('A person, please'))
  expect(text.indexOf('The agent passed the baton')).toBeLessThan(text.indexOf('Here I am'))
  expect(await violations(place)).toEqual([])
})

test('the suggestion can be edited and sent only by the owner, with the ownership number', async () => {
  const onAction = vi.fn()
  const place = await draw(<Composer conversation={conversation} mine may busy={false} onAction={onAction} />)
  const field = place.querySelector('textarea') as HTMLTextAreaElement
  expect(field.value).toBe('')
  await press(named(place, 'Use Tab'))
  expect(field.value).toBe('I can help.')
  expect(onAction).not.toHaveBeenCalled()
  await type(field, 'I can help you. ')
  ctrlEnter(field)
  expect(onAction).toHaveBeenCalledWith({ act: 'posts', text: 'I can help you.', number: 7 }, expect.any(Function))
  expect(await violations(place)).toEqual([])
})

test('a non-owner can only write notes, and a key without the role writes nothing', async () => {
  const onAction = vi.fn()
  const place = await draw(<Composer conversation={conversation} mine={false} may busy={false} onAction={onAction} />)
  expect(place.textContent).not.toContain('Suggested reply')
  const field = place.querySelector('textarea') as HTMLTextAreaElement
  await type(field, 'look at order 7')
  ctrlEnter(field)
  expect(onAction).toHaveBeenCalledWith({ act: 'notes', text: 'look at order 7' }, expect.any(Function))
  expect(
    (await draw(<Composer conversation={conversation} mine may={false} busy={false} onAction={onAction} />))
      .textContent,
  ).toBe('')
})

test('the queue shows groups and reasons; longest waiting first', async () => {
  const late = { ...head, conversation_id: 'b', user_id: 'Bea', updated_at: '2026-11-22T09:00:00Z' }
  expect(byWait([head, late]).map((one) => one.user_id)).toEqual(['Bea', 'Ana'])
  let chosen = ''
  const place = await draw(
    <Queue
      groups={[
        { title: 'With me', conversations: [head] },
        { title: 'Unassigned', conversations: [] },
      ]}
      chosen={head.conversation_id}
      onChoose={(one) => {
        chosen = one
      }}
      now={Date.parse('2026-11-22T10:14:00Z')}
    />,
  )
  expect(place.textContent).toContain('Asked for a person')
  expect(place.textContent).toContain('9 min')
  expect(place.textContent).not.toContain('Unassigned')
  await press(place.querySelector('button'))
  expect(chosen).toBe(head.conversation_id)
  expect(await violations(place)).toEqual([])
})

test('the banner explains why nothing is assigned: away, offline, at capacity, no agent; and is empty otherwise', async () => {
  const bannerText = async (role: string, agent: object | null) => {
    vi.stubGlobal('fetch', async (path: string) =>
      path.endsWith('/me')
        ? Response.json({ name: 'olga', role })
        : agent
          ? Response.json({ id: 'olga', max_capacity: 2, ...agent })
          : Response.json({ code: 'DESK-004' }, { status: 404 }),
    )
    const place = await draw(<AvailabilityBanner />)
    await act(async () => {})
    expect(await violations(place)).toEqual([])
    return place.textContent
  }
  expect(await bannerText('operator', { status: 'away', current_load: 0 })).toMatch(/^You are away: .*Go online$/)
  expect(await bannerText('operator', { status: 'offline', current_load: 0 })).toMatch(/^You are offline: .*Go online$/)
  expect(await bannerText('operator', { status: 'online', current_load: 2 })).toMatch(/^You have as many as you take/)
  expect(await bannerText('operator', { status: 'online', current_load: 1 })).toBe('')
  expect(await bannerText('human_agent', null)).toMatch(/^You are not on the desk/)
  expect(await bannerText('admin', null)).toBe('')
})

import { useQuery } from '@tanstack/react-query'
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { useOwnAgent, usePresenceHeartbeat } from '../../api/presence'
import { me } from '../../api/queries'
import type { HumanAgent, Presence as There } from '../../api/schema'
import { draw, named, press, violations } from '../testing'
import { Presence } from '.'

// Menus find their items with it; jsdom does not have it.
beforeEach(() => void vi.stubGlobal('CSS', { escape: (text: string) => text }))
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const olga = (more: Partial<HumanAgent> = {}): HumanAgent => ({
  id: 'olga',
  name: 'Olga',
  email: 'olga@example.com',
  status: 'online',
  roles: [],
  skills: [],
  languages: [],
  current_load: 2,
  max_capacity: 4,
  conversations: ['a', 'b'],
  last_active: '2026-11-22T10:00:00Z',
  created_at: '2026-11-22T09:00:00Z',
  ...more,
})
/** A fake server with one human agent, Olga, that accepts every status. */
const agentServer = (status: There) => {
  const statuses: string[] = []
  let now = olga({ status })
  vi.stubGlobal('fetch', async (path: string, init: RequestInit) => {
    if (path.endsWith('/me')) return Response.json({ name: 'olga', role: 'human_agent' })
    if (init.method === 'PUT') {
      now = olga(JSON.parse(String(init.body)))
      statuses.push(now.status)
    }
    return Response.json(now)
  })
  return statuses
}

test('the load is shown as text, not only as pips', async () => {
  agentServer('online')
  const place = await draw(<Presence of={olga()} />)
  expect(place.textContent).toContain('2 of 4')
  expect(place.querySelectorAll('i').length).toBe(4)
  expect(named(place, 'Presence: Online')).toBeTruthy()
  expect(await violations(place)).toEqual([])
  const many = await draw(<Presence of={olga({ max_capacity: 60 })} />)
  expect(many.textContent).toContain('2 of 60')
  expect(many.querySelectorAll('i').length).toBe(0)
})

test('the menu explains each status, and the server gets the chosen one', async () => {
  const statuses = agentServer('online')
  const place = await draw(<Presence of={olga()} />)
  await press(named(place, 'Presence: Online'))
  const choices = [...document.querySelectorAll('[role=menuitemradio]')]
  expect(choices.map((one) => one.textContent)).toEqual([
    'OnlineNew conversations come to you',
    'AwayNothing new, you keep what you have',
    'OfflineWhat you have goes to others',
  ])
  expect(choices.map((one) => one.getAttribute('aria-checked'))).toEqual(['true', 'false', 'false'])
  await press(choices[1])
  expect(statuses).toEqual(['away'])
})

test('an agent with conversations has to confirm going offline, one without does not', async () => {
  const statuses = agentServer('online')
  let place = await draw(<Presence of={olga()} />)
  await press(named(place, 'Presence: Online'))
  await press([...document.querySelectorAll('[role=menuitemradio]')][2])
  expect(statuses).toEqual([])
  expect(document.body.textContent).toContain('2 conversations are with you.')
  await press(named(document.body, 'Go offline'))
  expect(statuses).toEqual(['offline'])
  place = await draw(<Presence of={olga({ current_load: 0 })} />)
  await press(named(place, 'Presence: Online'))
  await press([...document.querySelectorAll('[role=menuitemradio]')][2])
  expect(statuses).toEqual(['offline', 'offline'])
})

function Signs() {
  useQuery(me)
  usePresenceHeartbeat()
  return <p>{useOwnAgent()?.status}</p>
}
const shows = async (place: HTMLElement, text: string) => {
  for (let turn = 0; turn < 100 && place.textContent !== text; turn++)
    await act(async () => void (await new Promise((go) => setTimeout(go))))
  expect(place.textContent).toBe(text)
}
const move = () => act(async () => void window.dispatchEvent(new Event('pointermove')))

test('user activity sends heartbeats, at most once a minute', async () => {
  const statuses = agentServer('away')
  const place = await draw(<Signs />)
  await shows(place, 'away')
  expect(statuses).toEqual([])
  const now = vi.spyOn(Date, 'now').mockReturnValue(1_000)
  await move()
  await move()
  expect(statuses).toEqual(['away'])
  now.mockReturnValue(60_999)
  await move()
  expect(statuses).toHaveLength(1)
  now.mockReturnValue(61_000)
  await move()
  expect(statuses).toEqual(['away', 'away'])
})

test('a status set during a heartbeat is sent after it, and wins', async () => {
  const statuses = agentServer('online')
  const answer = fetch
  let hold: (() => void) | undefined
  vi.stubGlobal('fetch', async (path: string, init: RequestInit) => {
    if (init.method === 'PUT' && !hold) await new Promise<void>((go) => (hold = go))
    return answer(path, init)
  })
  const place = await draw(
    <>
      <Signs />
      <Presence of={olga({ current_load: 0 })} />
    </>,
  )
  await shows(place.querySelector('p') as HTMLElement, 'online')
  await move()
  await press(named(place, 'Presence: Online'))
  await press([...document.querySelectorAll('[role=menuitemradio]')][1])
  expect(statuses).toEqual([])
  await act(async () => hold?.())
  await act(async () => {})
  expect(statuses).toEqual(['online', 'away'])
})

test('activity does not bring an offline agent back', async () => {
  const statuses = agentServer('offline')
  const place = await draw(<Signs />)
  await shows(place, 'offline')
  await move()
  expect(statuses).toEqual([])
})

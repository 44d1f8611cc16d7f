import { beforeEach, expect, test } from 'vitest'
import { i18n } from '.'
import { count, duration, tick, timeLeft, usd, when } from './format'

beforeEach(() => i18n.loadAndActivate({ locale: 'en', messages: {} }))

test.each([
  [0, '0 ms'],
  [99, '99 ms'],
  [718, '0.7 s'],
  [9_949, '9.9 s'],
  [9_950, '10 s'],
  [59_499, '59 s'],
  [59_600, '1 m 00 s'],
  [362_000, '6 m 02 s'],
  [3_900_000, '1 h 05 m'],
  [187_200_000, '2 d 4 h'],
  [-1_500, '−1.5 s'],
])('%i ms lasts %s', (ms, text) => expect(duration(ms)).toBe(text))

test.each([
  [3_180_000, '53 min'],
  [90_000, '90 s'],
  [82_800_000, '23 h'],
  [260_000_000, '3 d'],
])('%i ms is %s left', (ms, text) => expect(timeLeft(ms)).toBe(text))

test.each([
  [0, '—'],
  [null, '—'],
  [0.00007, '<$0.0001'],
  [0.0326, '$0.0326'],
  [184, '$184.00'],
])('%s USD is shown as %s', (amount, text) => expect(usd(amount)).toBe(text))

test('an axis says 2 s, not 2.0 s', () => expect([tick(2000), tick(200)]).toEqual(['2 s', '0.2 s']))

test('Spanish has a decimal comma', () => {
  i18n.loadAndActivate({ locale: 'es', messages: {} })
  expect(duration(718)).toBe('0,7 s')
  expect(usd(0.0326)).toBe('$0,0326')
  expect(count(12_345)).toBe('12.345')
})

test('another day is named', () => {
  const now = new Date(2026, 10, 22, 12).getTime()
  expect(when(new Date(2026, 10, 22, 10, 41, 7), now)).toBe('10:41:07')
  expect(when(new Date(2026, 10, 20, 10, 41), now)).toBe('Nov 20, 10:41')
})

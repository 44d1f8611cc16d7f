import { expect, test } from 'vitest'
import { Reader } from './sse'

const stream =
  'id: 3\nevent: entry\ndata: {"a":1}\n\n: still here\n\nid: 4\r\nevent: entry\r\ndata: one\r\ndata: two\r\n\r\ndata: bare\n\n'
const events = [
  { id: '3', event: 'entry', data: '{"a":1}' },
  { id: '4', event: 'entry', data: 'one\ntwo' },
  { id: '4', event: 'message', data: 'bare' },
]

test('the events of a stream do not depend on its chunks', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const reader = new Reader()
    expect([...reader.push(stream.slice(0, cut)), ...reader.push(stream.slice(cut))]).toEqual(events)
  }
  const single = new Reader()
  expect([...stream].flatMap((letter) => single.push(letter))).toEqual(events)
})

test('an incomplete event is not dispatched, and its id is not the last one', () => {
  const reader = new Reader()
  reader.push('id: 7\ndata: x\n\nid: 8\ndata: y\n')
  expect(reader.lastId).toBe('7')
})

test('comments and empty events are ignored, an id alone counts', () => {
  const reader = new Reader()
  expect(reader.push(':\n\nevent: entry\n\nid: 9\n\n')).toEqual([])
  expect(reader.lastId).toBe('9')
})

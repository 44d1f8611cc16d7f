import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { document, type, types, written } from './generate.mjs'

test('the types are those of the API’s document', () => {
  expect(readFileSync(written, 'utf8') === types(document()), 'it is not: `npm run types`').toBe(true)
})

test('optional, null, union and open types are generated', () => {
  const schema = {
    type: 'object',
    required: ['id', 'done'],
    properties: {
      id: { type: 'string', description: 'Its name.' },
      since: { type: ['string', 'null'] },
      done: {},
      how: { oneOf: [{ type: 'null' }, { $ref: '#/components/schemas/How' }] },
      all: { type: 'array', items: { type: 'string', enum: ['a', 'b'] } },
      'by-node': { type: 'object', additionalProperties: { type: 'number' } },
    },
  }
  expect(type(schema)).toBe(
    [
      '{',
      '  /** Its name. */',
      '  id: string',
      '  since?: string | null',
      '  done: unknown',
      "  how?: null | Schemas['How']",
      "  all?: ('a' | 'b')[]",
      '  "by-node"?: Record<string, number>',
      '}',
    ].join('\n'),
  )
})

test('an unknown schema keyword is an error', () => {
  expect(() => type({ type: 'date' })).toThrow('`date` is new')
  expect(() => type({ not: {} })).toThrow('not is new')
})

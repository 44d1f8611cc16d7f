// Generates TypeScript types from the OpenAPI document (docs/reference/openapi.json): `npm run types`. It supports the
// schema keywords that the server's document uses, and fails on any other.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

/** Where the document is: in the repository, or beside a copy of this folder. */
const places = ['../docs/reference/openapi.json', 'docs/reference/openapi.json']
export const document = () => {
  const found = places.find((place) => existsSync(place))
  if (!found) throw new Error(`no ${places.join(' and no ')}: run this in the page's folder`)
  return JSON.parse(readFileSync(found, 'utf8'))
}
export const written = 'src/api/openapi.ts'

const plain = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean', null: 'null' }
/** Keywords that do not affect the type. */
const silent = new Set([
  'format',
  'minimum',
  'maximum',
  'description',
  'default',
  'example',
  'uniqueItems',
  'propertyNames',
])
const literal = (value) => JSON.stringify(value).replaceAll('"', "'")
/** The type in parentheses where it is part of a larger one. */
const part = (schema, indent) => {
  const { enum: some, allOf, oneOf, anyOf, type: kinds } = schema
  const several = [some, allOf, oneOf, anyOf, kinds].some((one) => Array.isArray(one) && one.length > 1)
  return several ? `(${type(schema, indent)})` : type(schema, indent)
}
const comment = (of, indent) =>
  of.description
    ? `${indent}/** ${of.description.trim().replaceAll('*/', '*\\/').replaceAll('\n', `\n${indent} *  `)} */\n`
    : ''

function object({ properties = {}, required = [], additionalProperties: more }, indent) {
  const inner = `${indent}  `
  const fields = Object.entries(properties).map(([name, of]) => {
    const key = /^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name)
    return `${comment(of, inner)}${inner}${key}${required.includes(name) ? '' : '?'}: ${type(of, inner)}\n`
  })
  if (fields.length > 0) return `{\n${fields.join('')}${indent}}`
  return more === false ? 'Record<string, never>' : `Record<string, ${more ? type(more, indent) : 'unknown'}>`
}

function one(kind, schema, indent) {
  if (kind === 'object') return object(schema, indent)
  if (kind === 'array') return `${part(schema.items ?? {}, indent)}[]`
  if (!plain[kind]) throw new Error(`a type \`${kind}\` is new: teach src/api/generate.mjs`)
  return plain[kind]
}

/** A schema as TypeScript. */
export function type(schema, indent = '') {
  const said = Object.keys(schema).filter((key) => !silent.has(key))
  if (said.length === 0) return 'unknown'
  if (schema.$ref) return `Schemas['${schema.$ref.split('/').at(-1)}']`
  if (schema.enum) return schema.enum.map(literal).join(' | ')
  if (schema.const !== undefined) return literal(schema.const)
  if (schema.allOf) return schema.allOf.map((one) => part(one, indent)).join(' & ')
  const choices = schema.oneOf ?? schema.anyOf
  if (choices) return choices.map((one) => part(one, indent)).join(' | ')
  if (!schema.type) throw new Error(`a schema of ${said.join(', ')} is new: teach src/api/generate.mjs`)
  return [schema.type]
    .flat()
    .map((kind) => one(kind, schema, indent))
    .join(' | ')
}

export function types({ components }) {
  const shapes = Object.entries(components.schemas).map(
    ([name, schema]) => `${comment(schema, '  ')}  ${name}: ${type(schema, '  ')}\n`,
  )
  return `// By \`npm run types\` out of docs/reference/openapi.json; not by hand.\nexport interface Schemas {\n${shapes.join('')}}\n`
}

if (process.argv[1]?.endsWith('generate.mjs')) writeFileSync(written, types(document()))

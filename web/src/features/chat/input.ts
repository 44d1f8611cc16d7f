import type { FieldSchema, FormSchema } from '../../api/schema'

/** Input keys that may carry the customer's message, in order of preference. */
const messageKeys = ['message', 'customer_message', 'text', 'question', 'query', 'prompt', 'goal']

export interface Declared {
  /** The input key for the message; `null` where none fits. */
  message: string | null
  rest: FormSchema
}

/** Reads a workflow's declared input: `name: string`, `name: {type: …}`, or a JSON Schema of an object. */
export function declared(input: Record<string, unknown> | null): Declared {
  if (!input) return { message: 'message', rest: {} }
  const schema =
    input.type === 'object' && typeof input.properties === 'object' && input.properties ? (input as FormSchema) : null
  const fields = Object.fromEntries(
    Object.entries(schema?.properties ?? input).map(([name, field]): [string, FieldSchema] => [
      name,
      typeof field === 'string' ? { type: field } : ((field ?? {}) as FieldSchema),
    ]),
  )
  const message = messageKeys.find((name) => name in fields && textual(fields[name])) ?? null
  const rest = Object.fromEntries(Object.entries(fields).filter(([name]) => name !== message))
  const required = schema
    ? (schema.required ?? [])
    : Object.keys(rest).filter((name) => rest[name]?.default === undefined)
  return { message, rest: { type: 'object', properties: rest, required: required.filter((name) => name in rest) } }
}

const textual = (field: FieldSchema | undefined): boolean => field?.type === undefined || field.type === 'string'

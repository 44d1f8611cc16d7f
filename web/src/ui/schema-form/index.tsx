import { useState } from 'react'
import type { FieldSchema, FormSchema } from '../../api/schema'
import { useT } from '../../i18n'
import { Check, Choice, Text } from '../field'
import css from './schema-form.module.css'

export type Draft = Record<string, string | boolean>

const typeOf = (field: FieldSchema): string => {
  const type = Array.isArray(field.type) ? field.type.find((one) => one !== 'null') : field.type
  if (field.enum) return 'enum'
  return type ?? 'json'
}

export function begin(schema: FormSchema): Draft {
  return Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, field]) => {
      if (typeOf(field) === 'boolean') return [name, field.default === true]
      if (field.default === undefined) return [name, '']
      return [name, typeof field.default === 'string' ? field.default : JSON.stringify(field.default)]
    }),
  )
}

/** Parses the draft: the value, and the fields that are invalid. Empty fields are omitted. */
export function read(
  schema: FormSchema,
  draft: Draft,
): { value: Record<string, unknown>; wrong: Record<string, 'needed' | 'number' | 'json'> } {
  const value: Record<string, unknown> = {}
  const wrong: Record<string, 'needed' | 'number' | 'json'> = {}
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const text = draft[name]
    if (typeof text === 'boolean') value[name] = text
    else if (text === undefined || text === '') {
      if (schema.required?.includes(name)) wrong[name] = 'needed'
    } else if (typeOf(field) === 'number' || typeOf(field) === 'integer') {
      const number = Number(text)
      if (!Number.isFinite(number) || (typeOf(field) === 'integer' && !Number.isInteger(number))) wrong[name] = 'number'
      else value[name] = number
    } else if (typeOf(field) === 'enum') value[name] = field.enum?.find((one) => String(one) === text) ?? text
    else if (typeOf(field) === 'string') value[name] = text
    else
      try {
        value[name] = JSON.parse(text)
      } catch {
        wrong[name] = 'json'
      }
  }
  return { value, wrong }
}

/** Form fields for a JSON Schema object; an unsupported type is edited as JSON. */
export function SchemaForm({
  schema,
  draft,
  onChange,
  show,
}: {
  schema: FormSchema
  draft: Draft
  onChange: (draft: Draft) => void
  show: boolean
}) {
  const t = useT()
  const [touched, setTouched] = useState(new Set<string>())
  const { wrong } = read(schema, draft)
  const messages = { needed: t('Needed'), number: t('Not a number'), json: t('Not JSON') }
  const set = (name: string, value: string | boolean) => {
    setTouched(new Set(touched).add(name))
    onChange({ ...draft, [name]: value })
  }
  return (
    <div className={css.form}>
      {Object.entries(schema.properties ?? {}).map(([name, field]) => {
        const value = draft[name] ?? ''
        const kind = typeOf(field)
        const bad = wrong[name]
        const frame = {
          label: field.title ?? name,
          hint: field.description,
          required: schema.required?.includes(name),
          error: bad && (show || (bad !== 'needed' && touched.has(name))) ? messages[bad] : undefined,
        }
        if (typeof value === 'boolean')
          return <Check key={name} label={frame.label} hint={frame.hint} value={value} onChange={(v) => set(name, v)} />
        if (kind === 'enum')
          return (
            <Choice
              key={name}
              {...frame}
              value={value}
              onChange={(v) => set(name, v)}
              options={[
                { value: '', text: '—' },
                ...(field.enum ?? []).map((one) => ({ value: String(one), text: String(one) })),
              ]}
            />
          )
        if (kind === 'number' || kind === 'integer')
          return <Text key={name} {...frame} type="number" value={value} onChange={(v) => set(name, v)} />
        if (kind === 'string')
          return (
            <Text
              key={name}
              {...frame}
              value={value}
              onChange={(v) => set(name, v)}
              {...((field.maxLength ?? 0) > 200 ? { lines: 3 } : {})}
            />
          )
        return (
          <Text key={name} {...frame} value={value} onChange={(v) => set(name, v)} lines={3} mono placeholder="{ }" />
        )
      })}
    </div>
  )
}

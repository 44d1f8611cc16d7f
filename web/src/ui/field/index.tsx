import { type ReactNode, useId } from 'react'
import css from './field.module.css'

interface Frame {
  label: string
  hint?: string | undefined
  error?: string | undefined
  required?: boolean | undefined
}

function Field({
  label,
  hint,
  error,
  required,
  children,
}: Frame & {
  children: (ids: {
    id: string
    'aria-describedby': string | undefined
    'aria-invalid': boolean | undefined
  }) => ReactNode
}) {
  const id = useId()
  const note = error ?? hint
  return (
    <div className={css.field}>
      <label className={css.label} htmlFor={id}>
        {label}
        {required && <span aria-hidden="true"> *</span>}
      </label>
      {children({ id, 'aria-describedby': note ? `${id}-note` : undefined, 'aria-invalid': error ? true : undefined })}
      {note && (
        <span id={`${id}-note`} className={error ? css.error : css.hint}>
          {note}
        </span>
      )}
    </div>
  )
}

type TextProps = Frame & {
  value: string
  onChange: (value: string) => void
  type?: 'text' | 'password' | 'number' | 'email' | 'date'
  lines?: number
  mono?: boolean
  autoFocus?: boolean
  autoComplete?: string
  placeholder?: string
}

export function Text({
  value,
  onChange,
  type = 'text',
  lines,
  mono,
  autoFocus,
  autoComplete = 'off',
  placeholder,
  ...frame
}: TextProps) {
  const shared = {
    value,
    required: frame.required,
    placeholder,
    className: `${css.input} ${mono ? 'mono' : ''}`,
    onChange: (e: { target: { value: string } }) => onChange(e.target.value),
  }
  return (
    <Field {...frame}>
      {(ids) =>
        lines ? (
          <textarea {...ids} {...shared} rows={lines} autoFocus={autoFocus} />
        ) : (
          <input
            {...ids}
            {...shared}
            type={type}
            autoFocus={autoFocus}
            autoComplete={autoComplete}
            step={type === 'number' ? 'any' : undefined}
            spellCheck={mono ? false : undefined}
          />
        )
      }
    </Field>
  )
}

export function Choice({
  value,
  onChange,
  options,
  ...frame
}: Frame & { value: string; onChange: (value: string) => void; options: { value: string; text: string }[] }) {
  return (
    <Field {...frame}>
      {(ids) => (
        <select {...ids} className={css.input} value={value} onChange={(e) => onChange(e.target.value)}>
          {options.map((one) => (
            <option key={one.value} value={one.value}>
              {one.text}
            </option>
          ))}
        </select>
      )}
    </Field>
  )
}

export function Check({
  label,
  value,
  onChange,
  hint,
}: {
  label: string
  value: boolean
  onChange: (value: boolean) => void
  hint?: string | undefined
}) {
  return (
    <label className={css.check}>
      <input type="checkbox" checked={value} onChange={(e) => onChange(e.target.checked)} />
      <span>
        {label}
        {hint && <span className={css.hint}>{hint}</span>}
      </span>
    </label>
  )
}

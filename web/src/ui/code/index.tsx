import { useState } from 'react'
import { useT } from '../../i18n'
import { Button } from '../button'
import css from './code.module.css'

export function Copy({ text, label, small = true }: { text: () => string; label?: string; small?: boolean }) {
  const t = useT()
  const [done, setDone] = useState(false)
  const copy = async () => {
    await navigator.clipboard?.writeText(text()).catch(() => {})
    setDone(true)
    setTimeout(() => setDone(false), 1500)
  }
  return (
    <>
      <Button icon={done ? 'check' : 'copy'} look="ghost" small={small} iconOnly={!label} onPress={copy}>
        {label ?? t('Copy')}
      </Button>
      <span className="vh" role="status">
        {done ? t('Copied') : ''}
      </span>
    </>
  )
}

const long = 4_000

/** A value as JSON. A long one is truncated until expanded. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const t = useT()
  const [whole, setWhole] = useState(false)
  const text = typeof value === 'string' ? value : (JSON.stringify(value, null, 2) ?? 'null')
  const cut = !whole && text.length > long
  return (
    <div className={css.frame}>
      <pre className={css.code} tabIndex={0} role="region" aria-label={label}>
        {cut ? `${text.slice(0, long)}…` : text}
      </pre>
      <div className={css.tools}>
        <Copy text={() => text} />
      </div>
      {cut && (
        <Button small look="ghost" onPress={() => setWhole(true)}>
          {t('Show all')}
        </Button>
      )}
    </div>
  )
}

/** The exact arguments, one a line: this is what is approved. */
export function Arguments({ of, caption }: { of: Record<string, unknown>; caption: string }) {
  const rows = Object.entries(of)
  return (
    <table className={css.table}>
      <caption className="vh">{caption}</caption>
      <tbody>
        {rows.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              {typeof value === 'object' && value !== null ? (
                <pre>{JSON.stringify(value, null, 2)}</pre>
              ) : (
                JSON.stringify(value)
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

import { useSyncExternalStore } from 'react'
import css from './toast.module.css'

let shown: { text: string; id: number } | null = null
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setTimeout>
const notify = () => {
  for (const one of listeners) one()
}

/** Confirms an action, with the button's own verb. */
export function toast(text: string): void {
  shown = { text, id: Date.now() }
  clearTimeout(timer)
  timer = setTimeout(() => {
    shown = null
    notify()
  }, 5_000)
  notify()
}

export function Toasts() {
  const now = useSyncExternalStore(
    (on) => {
      listeners.add(on)
      return () => listeners.delete(on)
    },
    () => shown,
  )
  return (
    <div role="status" className={css.place}>
      {now && (
        <div key={now.id} className={css.toast}>
          {now.text}
        </div>
      )}
    </div>
  )
}

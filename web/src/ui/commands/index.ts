import { useEffect, useRef, useSyncExternalStore } from 'react'

/** An action available now. The command list, shortcuts, menus and help all read this registry. */
export interface Command {
  id: string
  title: string
  group: string
  /** `g r`, `j`, `mod+k`, `?`. */
  keys?: string
  /** Not listed, only a shortcut. */
  hidden?: boolean
  run: () => void
}

let commands: Command[] = []
const listeners = new Set<() => void>()
let singles = true
let waiting: { key: string; since: number } | null = null
const sequence_ms = 1_200

const notify = () => {
  for (const one of listeners) one()
}
export const register = (more: Command[]): (() => void) => {
  commands = [...commands, ...more]
  notify()
  return () => {
    commands = commands.filter((one) => !more.includes(one))
    notify()
  }
}
export const all = (): Command[] => commands
const listen = (on: () => void) => {
  listeners.add(on)
  return () => listeners.delete(on)
}
export const useAll = (): Command[] => useSyncExternalStore(listen, all, all)

/** Single letters can be switched off (WCAG 2.1.4). */
export const letters = (on: boolean): void => {
  singles = on
}

/** Registers commands while the component is mounted. `run` may change with each render; id and title identify one. */
export function useCommands(offered: Command[]): void {
  const latest = useRef(offered)
  latest.current = offered
  const names = offered.map((one) => `${one.id}/${one.title}/${one.keys}`).join('\n')
  // biome-ignore lint/correctness/useExhaustiveDependencies: `names` says when the offer is another one.
  useEffect(
    () =>
      register(offered.map((one) => ({ ...one, run: () => latest.current.find((now) => now.id === one.id)?.run() }))),
    [names],
  )
}

const inField = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
  // A checkbox takes no text input.
  (target as HTMLInputElement).type !== 'checkbox'

export function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.altKey) return
  const mod = event.metaKey || event.ctrlKey
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key.toLowerCase()
  if (mod) {
    const found = commands.findLast((one) => one.keys === `mod+${key}`)
    if (found) {
      event.preventDefault()
      found.run()
    }
    return
  }
  if (inField(event.target) || (!singles && event.key.length === 1)) return
  // Shortcuts are off behind an open dialog.
  if (document.querySelector('[role=dialog],[role=alertdialog],[role=menu]')) return
  if (key === 'enter' && event.target instanceof HTMLElement && event.target.closest('a,button,[role=tab],summary'))
    return
  const now = event.timeStamp
  const keys = waiting && now - waiting.since < sequence_ms ? `${waiting.key} ${key}` : key
  waiting = null
  const found =
    commands.findLast((one) => one.keys === keys) ??
    (keys === key ? undefined : commands.findLast((one) => one.keys === key))
  if (found) {
    event.preventDefault()
    found.run()
  } else if (commands.some((one) => one.keys?.startsWith(`${key} `))) waiting = { key, since: now }
}

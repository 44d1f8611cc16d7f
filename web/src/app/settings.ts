import { useSyncExternalStore } from 'react'
import { activateLanguage, type Language, languages, preferred } from '../i18n'
import { letters } from '../ui/commands'

export type Theme = 'light' | 'dark' | 'system'
export interface Settings {
  theme: Theme
  language: Language
  letters: boolean
}

const place = 'baton.settings'
const dark = matchMedia('(prefers-color-scheme:dark)')
const listeners = new Set<() => void>()
let now: Settings = read()

function read(): Settings {
  const defaults = { theme: 'system', language: preferred(), letters: true } as Settings
  try {
    const stored = JSON.parse(localStorage.getItem(place) ?? '{}')
    return {
      theme: ['light', 'dark'].includes(stored.theme) ? stored.theme : defaults.theme,
      language: stored.language in languages ? stored.language : defaults.language,
      letters: stored.letters !== false,
    }
  } catch {
    return defaults
  }
}

function apply(): void {
  document.documentElement.dataset.theme = now.theme === 'system' ? (dark.matches ? 'dark' : 'light') : now.theme
  letters(now.letters)
}

export async function begin(): Promise<void> {
  apply()
  dark.addEventListener('change', apply)
  await activateLanguage(now.language)
}

export function set(more: Partial<Settings>): void {
  now = { ...now, ...more }
  localStorage.setItem(place, JSON.stringify(now))
  apply()
  if (more.language) void activateLanguage(more.language)
  for (const one of listeners) one()
}

export const useSettings = (): Settings =>
  useSyncExternalStore(
    (on) => {
      listeners.add(on)
      return () => listeners.delete(on)
    },
    () => now,
  )

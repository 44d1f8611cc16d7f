import { setupI18n } from '@lingui/core'
import { useLingui } from '@lingui/react'

export const languages = { en: 'English', es: 'Español' } as const
export type Language = keyof typeof languages

export const i18n = setupI18n()
const catalogues = { en: () => import('./en.po'), es: () => import('./es.po') }

export async function speak(language: Language): Promise<void> {
  const { default: messages } = await catalogues[language]()
  i18n.loadAndActivate({ locale: language, messages })
  document.documentElement.lang = language
}

/** What the reader's browser asks for, where we speak it. */
export function preferred(): Language {
  const first = navigator.languages?.map((one) => one.slice(0, 2)).find((one) => one in languages)
  return (first as Language) ?? 'en'
}

export type Values = Record<string, string | number>
export type Say = (text: string, values?: Values) => string

/** A text that is translated where it is shown: marks it for the catalogues. */
export const said = (text: string): string => text

/** English texts are their own ids; ICU plurals and values work in them. */
export function useT(): Say {
  useLingui()
  return (text, values) => i18n._(text, values)
}

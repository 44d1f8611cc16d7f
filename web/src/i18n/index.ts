import { setupI18n } from '@lingui/core'
import { useLingui } from '@lingui/react'

export const languages = { en: 'English', es: 'Español' } as const
export type Language = keyof typeof languages

export const i18n = setupI18n()
const catalogues = { en: () => import('./en.po'), es: () => import('./es.po') }

export async function activateLanguage(language: Language): Promise<void> {
  const { default: messages } = await catalogues[language]()
  i18n.loadAndActivate({ locale: language, messages })
  document.documentElement.lang = language
}

/** The browser's preferred language, if supported. */
export function preferred(): Language {
  const first = navigator.languages?.map((one) => one.slice(0, 2)).find((one) => one in languages)
  return (first as Language) ?? 'en'
}

export type Values = Record<string, string | number>
export type Translate = (text: string, values?: Values) => string

/** Marks a text for the catalogues that is translated where it is shown. */
export const msg = (text: string): string => text

/** English texts are the message ids; ICU plurals and values are supported. */
export function useT(): Translate {
  useLingui()
  return (text, values) => i18n._(text, values)
}

import { readFileSync } from 'node:fs'
import { compileMessage } from '@lingui/message-utils/compileMessage'
import { expect, test } from 'vitest'
import { allTexts } from './extract.mjs'
import { parse } from './po'

const catalogue = (language: string) => parse(readFileSync(`src/i18n/${language}.po`, 'utf8'))

test('both catalogues have exactly the texts of the source', () => {
  for (const language of ['en', 'es']) expect([...catalogue(language).keys()].sort()).toEqual(allTexts('src'))
})

test('every text has a Spanish translation with the same values', () => {
  const values = (text: string) => [...text.matchAll(/\{(\w+)[,}]/g)].map((m) => m[1]).sort()
  for (const [text, spanish] of catalogue('es')) {
    expect(spanish, text).not.toBe('')
    expect(values(spanish).filter((v) => values(text).includes(v)).length, text).toBe(values(text).length)
    expect(() => compileMessage(spanish), text).not.toThrow()
  }
})

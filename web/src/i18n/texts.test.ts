import { readFileSync } from 'node:fs'
import { compileMessage } from '@lingui/message-utils/compileMessage'
import { expect, test } from 'vitest'
import { allTexts } from './extract.mjs'
import { parse } from './po'

const catalogue = (language: string) => parse(readFileSync(`src/i18n/${language}.po`, 'utf8'))

test('both catalogues hold every text of the source, and no other', () => {
  for (const language of ['en', 'es']) expect([...catalogue(language).keys()].sort()).toEqual(allTexts('src'))
})

test('every text has its Spanish, with the same values', () => {
  const values = (text: string) => [...text.matchAll(/\{(\w+)[,}]/g)].map((m) => m[1]).sort()
  for (const [text, spanish] of catalogue('es')) {
    expect(spanish, text).not.toBe('')
    expect(values(spanish).filter((v) => values(text).includes(v)).length, text).toBe(values(text).length)
    expect(() => compileMessage(spanish), text).not.toThrow()
  }
})

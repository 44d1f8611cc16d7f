import { compileMessage } from '@lingui/message-utils/compileMessage'
import type { Plugin } from 'vite'

/** The texts of a catalogue, by their English. Missing translations fall back to English. */
export function parse(text: string): Map<string, string> {
  const texts = new Map<string, string>()
  for (const block of text.split(/\n\s*\n/)) {
    const field = (name: string) => {
      const match = block.match(new RegExp(`^${name} ((?:"(?:[^"\\\\]|\\\\.)*"\\s*)+)`, 'm'))
      return [...(match?.[1] ?? '').matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((m) => JSON.parse(`"${m[1]}"`)).join('')
    }
    const id = field('msgid')
    if (id) texts.set(id, field('msgstr'))
  }
  return texts
}

/** A Vite plugin to import catalogues: messages are compiled at build time, so the bundle has no parser. */
export function po(): Plugin {
  return {
    name: 'po',
    transform(code, id) {
      if (!id.endsWith('.po')) return
      const messages = Object.fromEntries(
        [...parse(code)].map(([key, message]) => [key, compileMessage(message || key)]),
      )
      return { code: `export default JSON.parse(${JSON.stringify(JSON.stringify(messages))})`, map: null }
    },
  }
}

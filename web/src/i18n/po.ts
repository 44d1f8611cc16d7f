import { compileMessage } from '@lingui/message-utils/compileMessage'
import type { Plugin } from 'vite'

/** The texts of a catalogue, by their English. What has no translation stays English. */
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

/** Lets a catalogue be imported: its messages are compiled when the page is built, so no parser goes to the browser. */
export function po(): Plugin {
  return {
    name: 'po',
    transform(code, id) {
      if (!id.endsWith('.po')) return
      const messages = Object.fromEntries([...parse(code)].map(([key, said]) => [key, compileMessage(said || key)]))
      return { code: `export default JSON.parse(${JSON.stringify(JSON.stringify(messages))})`, map: null }
    },
  }
}

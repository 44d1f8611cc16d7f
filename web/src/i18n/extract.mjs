// Updates the catalogues from the texts in the source: adds new ones, drops unused ones.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Every literal passed to `t(` or to `msg(`, which marks a text that is translated where it is shown. */
export function textsOf(source) {
  return [...source.matchAll(/\b(?:t|msg)\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g)].map((m) =>
    (m[1] ?? m[2]).replace(/\\(['"])/g, '$1'),
  )
}
export function allTexts(folder = fileURLToPath(new URL('..', import.meta.url))) {
  const files = readdirSync(folder, { recursive: true }).filter((f) => /\.tsx?$/.test(f) && !/\.test\.tsx?$/.test(f))
  return [...new Set(files.flatMap((f) => textsOf(readFileSync(join(folder, f), 'utf8'))))].sort()
}
if (process.argv[1]?.endsWith('extract.mjs')) {
  for (const language of ['en', 'es']) {
    const file = new URL(`${language}.po`, import.meta.url)
    let old = ''
    try {
      old = readFileSync(file, 'utf8')
    } catch {}
    const known = new Map(
      [...old.matchAll(/^msgid (".*")\nmsgstr (".*")$/gm)].map((m) => [JSON.parse(m[1]), JSON.parse(m[2])]),
    )
    const texts = allTexts()
    const head = `msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Language: ${language}\\n"\n`
    writeFileSync(
      file,
      `${head}\n${texts.map((text) => `msgid ${JSON.stringify(text)}\nmsgstr ${JSON.stringify(known.get(text) ?? '')}\n`).join('\n')}`,
    )
    if (language !== 'en')
      for (const text of texts) if (!known.get(text)) console.log(`${language}: ${JSON.stringify(text)}`)
  }
}

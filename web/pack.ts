import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

/** What is smaller goes out in one packet either way. */
const least = 1_400
const texts = /\.(js|css)$/

/**
 * Writes each text of `assets/` a second and a third time, for browsers that take brotli or gzip: the server packs nothing
 * while it is asked. Only there, since the names in it change with what is inside.
 */
export function pack(): Plugin {
  return {
    name: 'pack',
    apply: 'build',
    closeBundle: {
      sequential: true,
      handler() {
        const folder = join(import.meta.dirname, 'dist/assets')
        for (const name of readdirSync(folder).filter((one) => texts.test(one))) {
          const file = join(folder, name)
          const bytes = readFileSync(file)
          if (bytes.length < least) continue
          const quality = {
            [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
            [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
          }
          writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: quality }))
          writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }))
        }
      },
    },
  }
}

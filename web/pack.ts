import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

/** Files below this size fit in one packet either way. */
const least = 1_400
const texts = /\.(js|css)$/

/**
 * Writes a brotli and a gzip copy of each text file of `assets/`, so that the server does not compress at request time.
 * Only there, since those file names carry a content hash.
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

// Checks the size of the first load against its limit. Run after `vite build`.
import { readdirSync, readFileSync } from 'node:fs'
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'

const dist = new URL('../dist/', import.meta.url)
const firstMost = 230_000
const featureMost = 80_000
const size = (path) => gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length
const html = readFileSync(new URL('index.html', dist), 'utf8')
const first = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.(?:js|css))"/g)].map((m) => m[1])
const all = readdirSync(new URL('assets/', dist))
  .filter((name) => /\.(js|css)$/.test(name))
  .map((name) => `assets/${name}`)
// The first load has one catalogue, in either language.
const catalogue = all.filter((name) => /\/(en|es)-/.test(name)).map(size)
const sum = first.map(size).reduce((a, b) => a + b, 0) + Math.max(...catalogue)
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`
console.log(`first load ${kb(sum)} of ${kb(firstMost)} gz`)
let failed = sum > firstMost
for (const name of all) {
  if (first.includes(name) || size(name) < featureMost) continue
  console.log(`${name}: ${kb(size(name))} of ${kb(featureMost)} gz`)
  failed = true
}
for (const name of all) {
  const text = readFileSync(new URL(name, dist), 'utf8')
  if (/sourceMappingURL|\/tmp\/|\/home\/|\/work\//.test(text)) {
    console.log(`${name}: names a place of the machine it was built on`)
    failed = true
  }
}
// Compressed copies must equal the plain files.
for (const name of readdirSync(new URL('assets/', dist))) {
  const unpack = { br: brotliDecompressSync, gz: gunzipSync }[name.split('.').at(-1)]
  if (!unpack) continue
  const plain = readFileSync(new URL(`assets/${name.slice(0, -3)}`, dist))
  if (unpack(readFileSync(new URL(`assets/${name}`, dist))).equals(plain)) continue
  console.log(`${name}: is not what it was packed from`)
  failed = true
}
process.exit(failed ? 1 : 0)

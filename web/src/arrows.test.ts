import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
const rank: Record<string, number> = { ui: 0, graph: 0, api: 0, i18n: 0, features: 1, app: 2 }

test('features do not import each other, and lower layers do not import upper ones', () => {
  for (const file of files.filter((name) => /\.tsx?$/.test(name) && !/\.test\./.test(name))) {
    const [layer = '', feature] = file.split('/')
    for (const [, from] of readFileSync(`src/${file}`, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
      const path = new URL(from ?? '', `file:///${file}`).pathname.slice(1)
      const [other = '', otherFeature] = path.split('/')
      expect((rank[other] ?? 0) <= (rank[layer] ?? 0), `${file} imports ${path}`).toBe(true)
      if (layer === 'features' && other === 'features') expect(otherFeature, `${file} imports ${path}`).toBe(feature)
    }
  }
})

test('no raw colour outside tokens.css', () => {
  for (const file of files.filter((name) => name.endsWith('.css') && !name.endsWith('tokens.css')))
    expect(readFileSync(`src/${file}`, 'utf8'), file).not.toMatch(/#[0-9a-f]{3,8}\b|rgb\(|hsl\(/i)
})

test('no inline script or style, so the policy needs no exception', () => {
  const html = readFileSync('index.html', 'utf8')
  expect(html).not.toMatch(/<style|<script(?![^>]*src=)| style=| on\w+=/)
})

import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'
import { pack } from './pack.ts'
import { po } from './src/i18n/po.ts'

export default defineConfig({
  plugins: [react(), po(), pack()],
  server: { proxy: { '/api': 'http://127.0.0.1:8080' } },
  build: {
    target: 'es2022',
    sourcemap: false,
    // A data: URL would need an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { output: { hashCharacters: 'base36' } },
  },
  css: { modules: { generateScopedName: '[name]_[local]_[hash:base64:4]' } },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    css: { modules: { classNameStrategy: 'non-scoped' } },
  },
})

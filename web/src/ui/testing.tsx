import { I18nProvider } from '@lingui/react'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import axe from 'axe-core'
import { act, type ReactNode } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { i18n } from '../i18n'

// biome-ignore lint/suspicious/noExplicitAny: React asks for this flag on the global object.
;(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true

let mounted: Root | null = null

/** Renders a component as the page would, in English. Only for tests. */
export async function draw(part: ReactNode): Promise<HTMLElement> {
  const { default: messages } = await import('../i18n/en.po')
  await act(async () => mounted?.unmount())
  i18n.loadAndActivate({ locale: 'en', messages })
  document.body.innerHTML = '<main></main>'
  const place = document.querySelector('main') as HTMLElement
  const root = createRoot(place)
  mounted = root
  await act(async () =>
    root.render(
      <I18nProvider i18n={i18n}>
        <QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}>
          {part}
        </QueryClientProvider>
      </I18nProvider>,
    ),
  )
  return place
}

export const press = (element: Element | null | undefined) => act(async () => (element as HTMLElement).click())

export async function type(field: HTMLInputElement | HTMLTextAreaElement, text: string) {
  const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value')?.set
  await act(async () => {
    set?.call(field, text)
    field.dispatchEvent(new Event('input', { bubbles: true }))
  })
}

export const named = (place: ParentNode, text: string): HTMLElement | undefined =>
  [...place.querySelectorAll<HTMLElement>('button,a')].find(
    (one) => (one.getAttribute('aria-label') ?? one.textContent)?.trim() === text,
  )

/** The violations axe reports, except colours, which jsdom does not compute; the end-to-end test checks those. */
export async function violations(place: HTMLElement): Promise<string[]> {
  const found = await axe.run(place, { rules: { 'color-contrast': { enabled: false }, region: { enabled: false } } })
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`)
}

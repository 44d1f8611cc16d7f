import '../ui/tokens.css'
import '../ui/base.css'
import { I18nProvider } from '@lingui/react'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { I18nProvider as Locale } from 'react-aria-components'
import { createRoot } from 'react-dom/client'
import { Problem } from '../api/problem'
import { i18n } from '../i18n'
import { onKey } from '../ui/commands'
import { Toasts } from '../ui/toast'
import { router } from './routes'
import * as settings from './settings'
import { useSettings } from './settings'
import { SignedIn } from './sign-in'

const queries = new QueryClient({
  defaultOptions: {
    // Retry only when there was no response: a refusal would be repeated.
    queries: {
      retry: (times, problem) =>
        times < 2 && problem instanceof Problem && (problem.status === 0 || problem.status >= 500),
      staleTime: 2_000,
    },
  },
})

function Page() {
  const { language } = useSettings()
  return (
    <I18nProvider i18n={i18n}>
      <Locale locale={language}>
        <QueryClientProvider client={queries}>
          <SignedIn>
            <RouterProvider router={router} />
          </SignedIn>
          <Toasts />
        </QueryClientProvider>
      </Locale>
    </I18nProvider>
  )
}

document.addEventListener('keydown', onKey)
const place = document.getElementById('page')
if (place)
  void settings.begin().then(() =>
    createRoot(place).render(
      <StrictMode>
        <Page />
      </StrictMode>,
    ),
  )

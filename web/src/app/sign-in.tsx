import { useQueryClient } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'
import { ask, carryKey } from '../api/client'
import { Problem as ApiProblem } from '../api/problem'
import { me } from '../api/queries'
import type { Me } from '../api/schema'
import { useT } from '../i18n'
import { Button } from '../ui/button'
import { Text } from '../ui/field'
import { Problem, Skeleton } from '../ui/states'
import { Mark } from './mark'
import { session } from './session'
import css from './sign-in.module.css'

const Session = createContext<{ me: Me; out: () => void } | null>(null)
export function useSession() {
  const found = useContext(Session)
  if (!found) throw new Error('only below SignedIn')
  return found
}

/** Asks for an API key, then shows the page. */
export function SignedIn({ children }: { children: ReactNode }) {
  const t = useT()
  const queries = useQueryClient()
  const [who, setWho] = useState<Me | null>(null)
  const [storedKey, setStoredKey] = useState(() => session.key())
  const [problem, setProblem] = useState<Error | null>(null)
  const [ended, setEnded] = useState(false)
  const [busy, setBusy] = useState(false)

  const out = useMemo(
    () => () => {
      session.end()
      queries.clear()
      setWho(null)
      setStoredKey(null)
    },
    [queries],
  )
  const refused = useMemo(
    () => () => {
      out()
      setEnded(true)
    },
    [out],
  )
  const enter = useMemo(
    () => async (key: string) => {
      setBusy(true)
      setProblem(null)
      setEnded(false)
      carryKey(key)
      try {
        const found = await ask<Me>('me')
        session.begin(key, refused)
        queries.setQueryData(me.queryKey, found)
        setWho(found)
      } catch (error) {
        carryKey(null)
        if (error instanceof ApiProblem && error.refusedKey) {
          session.end()
          setStoredKey(null)
        }
        setProblem(error as Error)
      }
      setBusy(false)
    },
    [queries, refused],
  )
  useEffect(() => {
    if (storedKey && !who) void enter(storedKey)
  }, [storedKey, who, enter])

  const value = useMemo(() => who && { me: who, out }, [who, out])
  if (value) return <Session.Provider value={value}>{children}</Session.Provider>
  if (storedKey && !problem) return <Skeleton rows={0} />
  return (
    <main className={css.page}>
      <form
        className={css.form}
        onSubmit={(e) => {
          e.preventDefault()
          const key = new FormData(e.currentTarget).get('key')
          if (typeof key === 'string' && key.trim()) void enter(key.trim())
        }}
      >
        <div className={css.brand}>
          <Mark /> Baton
        </div>
        <h1>{t('Sign in')}</h1>
        <KeyField />
        {ended && !problem && <p className="sm mid">{t('The key is no longer valid. Sign in again.')}</p>}
        {problem &&
          (problem instanceof ApiProblem && problem.refusedKey ? (
            <p className={css.refused} role="alert">
              {t('The server does not know this key.')}
            </p>
          ) : (
            <Problem problem={problem} inline />
          ))}
        <Button type="submit" look="primary" busy={busy}>
          {t('Sign in')}
        </Button>
        <p className="sm dim">
          {t('It is kept in this tab only. A new one is made by')} <code className="mono">baton keys create</code>
        </p>
      </form>
    </main>
  )
}

function KeyField() {
  const t = useT()
  const [key, setKey] = useState('')
  return (
    <>
      <Text
        label={t('API key')}
        type="password"
        value={key}
        onChange={setKey}
        mono
        autoFocus
        autoComplete="current-password"
      />
      <input type="hidden" name="key" value={key} />
    </>
  )
}

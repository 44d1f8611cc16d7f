import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Problem as ApiProblem } from '../../api/problem'
import { act, ended } from '../../api/queries'
import type { Head } from '../../api/schema'
import { type Translate, useT } from '../../i18n'
import { Button } from '../../ui/button'
import { Sheet } from '../../ui/sheet'
import { toast } from '../../ui/toast'
import css from './bulk-actions.module.css'

export type BulkAction = 'cancel' | 'retry' | 'compensate'

/** Maximum number of concurrent requests. */
const atOnce = 4
const named = 8

export const eligibleStates: Record<BulkAction, (run: Head) => boolean> = {
  cancel: (run) => !ended(run.state) && run.state !== 'cancelling' && run.state !== 'compensating',
  retry: (run) => run.state === 'failed' || run.state === 'timed_out',
  compensate: (run) => ended(run.state) && run.state !== 'compensated' && !run.compensated,
}

interface BulkActionTexts {
  title: string
  what: string
  button: string
  done: string
}
const textsOf = (what: BulkAction, n: number, t: Translate): BulkActionTexts =>
  ({
    cancel: {
      title: t('{n, plural, one {Cancel # run} other {Cancel # runs}}', { n }),
      what: t('Nothing new begins in them. What is in flight is settled first; what they did stays.'),
      button: t('Cancel the runs'),
      done: t('{n, plural, one {# run cancelled} other {# runs cancelled}}', { n }),
    },
    retry: {
      title: t('{n, plural, one {Retry # run} other {Retry # runs}}', { n }),
      what: t('Each goes on where it failed, on the newest version. What was completed is not done again.'),
      button: t('Retry'),
      done: t('{n, plural, one {# run goes on} other {# runs go on}}', { n }),
    },
    compensate: {
      title: t('{n, plural, one {Roll back # run} other {Roll back # runs}}', { n }),
      what: t('What they did is undone, newest first. Each step is recorded; what cannot be undone stays.'),
      button: t('Roll back'),
      done: t('{n, plural, one {# run is rolled back} other {# runs are rolled back}}', { n }),
    },
  })[what]

interface Props {
  what: BulkAction
  runs: Head[]
  onClose: () => void
  /** The remaining selection: the runs that were refused. */
  onDone: (remaining: string[]) => void
}

/** Confirms an action on several runs, with its consequence and their number; lists refusals by run. */
export function BulkActionSheet({ what, runs, onClose, onDone }: Props) {
  const t = useT()
  const client = useQueryClient()
  const [sent, setSent] = useState<number | null>(null)
  const [refused, setRefused] = useState<{ run: Head; message: string }[]>([])
  const fit = runs.filter(eligibleStates[what])
  const other = runs.length - fit.length
  const texts = textsOf(what, fit.length, t)

  async function go() {
    setSent(0)
    setRefused([])
    const queue = [...fit]
    const no: typeof refused = []
    const one = async () => {
      for (let run = queue.shift(); run; run = queue.shift()) {
        const body =
          what === 'cancel'
            ? ({ act: 'cancel', compensate: false } as const)
            : what === 'retry'
              ? ({ act: 'retry', same_version: false } as const)
              : ({ act: 'compensate' } as const)
        try {
          await act(run.execution_id, body, 0)
        } catch (error) {
          no.push({ run, message: (error as ApiProblem).detail || (error as Error).message })
        }
        setSent((n) => (n ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, one))
    setSent(null)
    setRefused(no)
    for (const key of ['runs-newest', 'run']) void client.invalidateQueries({ queryKey: [key] })
    if (fit.length > no.length) toast(textsOf(what, fit.length - no.length, t).done)
    onDone(no.map(({ run }) => run.execution_id))
    if (no.length === 0) onClose()
  }

  return (
    <Sheet
      title={texts.title}
      open
      onClose={onClose}
      side
      foot={
        <>
          <Button look="ghost" onPress={onClose}>
            {t('Back')}
          </Button>
          <Button
            look={what === 'retry' ? 'primary' : 'bad'}
            busy={sent !== null}
            isDisabled={fit.length === 0}
            onPress={() => void go()}
          >
            {texts.button}
          </Button>
        </>
      }
    >
      <p>{texts.what}</p>
      {other > 0 && (
        <p className="mid">
          {t(
            '{n, plural, one {# of the selected is left out: its state does not allow it.} other {# of the selected are left out: their state does not allow it.}}',
            { n: other },
          )}
        </p>
      )}
      <ul className={css.runs}>
        {fit.slice(0, named).map((run) => (
          <li key={run.execution_id}>
            <span className="cut">{run.workflow_id}</span>
            <span className="mono dim push">…{run.execution_id.slice(-12)}</span>
          </li>
        ))}
        {fit.length > named && <li className="mid">{t('and {n} more', { n: fit.length - named })}</li>}
      </ul>
      {sent !== null && <p role="status">{t('{n} of {count}', { n: sent, count: fit.length })}</p>}
      {refused.length > 0 && (
        <div role="alert">
          <h3>{t('{n, plural, one {# was refused} other {# were refused}}', { n: refused.length })}</h3>
          <ul className={css.runs}>
            {refused.slice(0, named).map(({ run, message }) => (
              <li key={run.execution_id}>
                <span className="mono dim">…{run.execution_id.slice(-12)}</span>
                <span className="bad-c">{message}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
    </Sheet>
  )
}

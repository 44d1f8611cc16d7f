import { type ReactNode, useState } from 'react'
import { type Act, ended, useAct } from '../../api/queries'
import { useMay } from '../../api/rights'
import type { Execution, Graph } from '../../api/schema'
import type { RunTimeline } from '../../graph/timeline'
import { useT } from '../../i18n'
import { Button } from '../../ui/button'
import { useCommands } from '../../ui/commands'
import { Check } from '../../ui/field'
import { Sheet } from '../../ui/sheet'
import { Problem } from '../../ui/states'
import { toast } from '../../ui/toast'
import { ForkSheet } from './fork'
import { isIrreversible, Plan } from './rollback'

type Asked = 'cancel' | 'rollback' | 'retry' | 'fork'

/** What can be done to a run now. Whatever touches a customer or money is named again before it happens. */
export function useActions(
  run: Execution | undefined,
  graph: Graph | undefined,
  story: RunTimeline,
  step: string | null,
): {
  buttons: ReactNode
  sheets: ReactNode
  ask: (what: Asked) => void
} {
  const t = useT()
  const [asked, setAsked] = useState<Asked | null>(null)
  const [compensate, setCompensate] = useState(false)
  const [same, setSame] = useState(false)
  const act = useAct(run?.execution_id ?? '')
  const may = useMay('operate')
  const over = run ? ended(run.state) : true
  const plan = run?.rollback_plan ?? []
  const undoable = plan.filter((one) => !isIrreversible(one))
  const winding = run?.state === 'cancelling' || run?.state === 'compensating'
  const can = {
    fork: may && !!run && story.steps.length > 0,
    pause: may && !!run && !over && !winding && run.state !== 'paused',
    resume: may && run?.state === 'paused',
    cancel: may && !!run && !over && !winding,
    rollback: may && !!run && over && run.state !== 'compensated' && plan.length > 0,
    // Its conversation is done with a run that has ended.
    retry: may && (run?.state === 'failed' || run?.state === 'timed_out') && !story.conversation,
  }
  const send = (what: Act, done: string) =>
    act.mutate(what, {
      onSuccess: () => {
        setAsked(null)
        toast(done)
      },
    })
  const ask = (what: Asked) => {
    act.reset()
    setAsked(what)
  }
  const here = t('This run')
  useCommands([
    ...(can.pause
      ? [{ id: 'run.pause', title: t('Pause'), group: here, run: () => send({ act: 'pause' }, t('Paused')) }]
      : []),
    ...(can.resume
      ? [{ id: 'run.resume', title: t('Resume'), group: here, run: () => send({ act: 'resume' }, t('Resumed')) }]
      : []),
    ...(can.retry ? [{ id: 'run.retry', title: t('Retry…'), group: here, keys: 'r', run: () => ask('retry') }] : []),
    ...(can.fork ? [{ id: 'run.fork', title: t('Fork…'), group: here, run: () => ask('fork') }] : []),
    ...(can.rollback ? [{ id: 'run.rollback', title: t('Roll back…'), group: here, run: () => ask('rollback') }] : []),
    ...(can.cancel ? [{ id: 'run.cancel', title: t('Cancel…'), group: here, run: () => ask('cancel') }] : []),
  ])
  const buttons = (
    <>
      {can.pause && (
        <Button
          icon="pause"
          look="ghost"
          busy={act.isPending && !asked}
          onPress={() => send({ act: 'pause' }, t('Paused'))}
        >
          {t('Pause')}
        </Button>
      )}
      {can.resume && (
        <Button icon="play" busy={act.isPending && !asked} onPress={() => send({ act: 'resume' }, t('Resumed'))}>
          {t('Resume')}
        </Button>
      )}
      {can.fork && (
        <Button icon="switch" look="ghost" onPress={() => ask('fork')}>
          {t('Fork…')}
        </Button>
      )}
      {can.retry && (
        <Button icon="redo" onPress={() => ask('retry')}>
          {t('Retry…')}
        </Button>
      )}
      {can.rollback && (
        <Button icon="undo" onPress={() => ask('rollback')}>
          {t('Roll back…')}
        </Button>
      )}
      {can.cancel && (
        <Button look="bad" onPress={() => ask('cancel')}>
          {t('Cancel…')}
        </Button>
      )}
    </>
  )
  const back = (
    <Button look="ghost" onPress={() => setAsked(null)}>
      {t('Back')}
    </Button>
  )
  const problem = act.error && asked && <Problem problem={act.error} inline />
  const sheets = (
    <>
      {asked === 'fork' && run && (
        <ForkSheet run={run} story={story} graph={graph} step={step} onClose={() => setAsked(null)} />
      )}
      <Sheet
        title={t('Cancel this run')}
        open={asked === 'cancel'}
        onClose={() => setAsked(null)}
        side
        foot={
          <>
            {back}
            <Button
              look="bad"
              busy={act.isPending}
              onPress={() =>
                send({ act: 'cancel', compensate }, compensate ? t('Cancelling and undoing') : t('Cancelling'))
              }
            >
              {compensate ? t('Cancel and undo') : t('Cancel the run')}
            </Button>
          </>
        }
      >
        <p>{t('Nothing new begins. What is in flight is settled first, so that nothing is left half done.')}</p>
        {plan.length > 0 ? (
          <>
            <Check
              label={t('Undo what it did, too')}
              hint={t('{n, plural, one {# effect can be undone} other {# effects can be undone}}', {
                n: undoable.length,
              })}
              value={compensate}
              onChange={setCompensate}
            />
            <h3>{compensate ? t('In this order') : t('These stay as they are')}</h3>
            <Plan plan={plan} graph={graph} keep={!compensate} />
          </>
        ) : (
          <p className="mid">{t('It has changed nothing that could be undone.')}</p>
        )}
        {problem}
      </Sheet>
      <Sheet
        title={t('Roll back this run')}
        open={asked === 'rollback'}
        onClose={() => setAsked(null)}
        side
        foot={
          <>
            {back}
            <Button
              look="bad"
              icon="undo"
              busy={act.isPending}
              onPress={() =>
                over
                  ? send({ act: 'compensate' }, t('Rolling back'))
                  : send({ act: 'cancel', compensate: true }, t('Rolling back'))
              }
            >
              {t('Roll back')}
            </Button>
          </>
        }
      >
        <p>
          {over
            ? t('What this run did is undone, newest first. Each step is recorded.')
            : t('The run is stopped, then what it did is undone, newest first. Each step is recorded.')}
        </p>
        <Plan plan={plan} graph={graph} />
        {problem}
      </Sheet>
      <Sheet
        title={t('Retry from the failure')}
        open={asked === 'retry'}
        onClose={() => setAsked(null)}
        side
        foot={
          <>
            {back}
            <Button
              look="primary"
              icon="redo"
              busy={act.isPending}
              onPress={() => send({ act: 'retry', same_version: same }, t('Retrying'))}
            >
              {t('Retry')}
            </Button>
          </>
        }
      >
        <p>{t('What was completed is not done again. The run goes on where it failed.')}</p>
        {run?.error && (
          <p className="mid">
            <span className="mono">{run.error.code}</span> {run.error.message}
          </p>
        )}
        <Check
          label={t('Stay on the version it failed on')}
          hint={t('Else it goes on with the newest version of the workflow.')}
          value={same}
          onChange={setSame}
        />
        {problem}
      </Sheet>
    </>
  )
  return { buttons, sheets, ask }
}

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

type PendingAction = 'cancel' | 'rollback' | 'retry' | 'fork'

/** The actions available on a run. Those that touch a customer or money need a confirmation. */
export function useActions(
  run: Execution | undefined,
  graph: Graph | undefined,
  timeline: RunTimeline,
  step: string | null,
): {
  buttons: ReactNode
  sheets: ReactNode
  ask: (what: PendingAction) => void
} {
  const t = useT()
  const [pending, setPending] = useState<PendingAction | null>(null)
  const [compensate, setCompensate] = useState(false)
  const [same, setSame] = useState(false)
  const act = useAct(run?.execution_id ?? '')
  const may = useMay('operate')
  const over = run ? ended(run.state) : true
  const plan = run?.rollback_plan ?? []
  const undoable = plan.filter((one) => !isIrreversible(one))
  const draining = run?.state === 'cancelling' || run?.state === 'compensating'
  const can = {
    fork: may && !!run && timeline.steps.length > 0,
    pause: may && !!run && !over && !draining && run.state !== 'paused',
    resume: may && run?.state === 'paused',
    cancel: may && !!run && !over && !draining,
    rollback: may && !!run && over && run.state !== 'compensated' && plan.length > 0,
    // A conversation does not continue a run that has ended.
    retry: may && (run?.state === 'failed' || run?.state === 'timed_out') && !timeline.conversation,
  }
  const send = (what: Act, done: string) =>
    act.mutate(what, {
      onSuccess: () => {
        setPending(null)
        toast(done)
      },
    })
  const ask = (what: PendingAction) => {
    act.reset()
    setPending(what)
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
          busy={act.isPending && !pending}
          onPress={() => send({ act: 'pause' }, t('Paused'))}
        >
          {t('Pause')}
        </Button>
      )}
      {can.resume && (
        <Button icon="play" busy={act.isPending && !pending} onPress={() => send({ act: 'resume' }, t('Resumed'))}>
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
    <Button look="ghost" onPress={() => setPending(null)}>
      {t('Back')}
    </Button>
  )
  const problem = act.error && pending && <Problem problem={act.error} inline />
  const sheets = (
    <>
      {pending === 'fork' && run && (
        <ForkSheet run={run} timeline={timeline} graph={graph} step={step} onClose={() => setPending(null)} />
      )}
      <Sheet
        title={t('Cancel this run')}
        open={pending === 'cancel'}
        onClose={() => setPending(null)}
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
        open={pending === 'rollback'}
        onClose={() => setPending(null)}
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
        open={pending === 'retry'}
        onClose={() => setPending(null)}
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

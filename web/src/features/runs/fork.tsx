import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import type { Problem as ApiProblem } from '../../api/problem'
import { fork } from '../../api/queries'
import type { Execution, Graph } from '../../api/schema'
import { nodeAt } from '../../graph/graph-view'
import type { RunTimeline } from '../../graph/timeline'
import { useT } from '../../i18n'
import { Button } from '../../ui/button'
import { Check, Choice, Text } from '../../ui/field'
import { Sheet } from '../../ui/sheet'
import { Problem } from '../../ui/states'
import { toast } from '../../ui/toast'

interface Props {
  run: Execution
  timeline: RunTimeline
  graph: Graph | undefined
  /** The default step to start at. */
  step: string | null
  onClose: () => void
}

/** Forks a run: the step to start at, and edited variables. */
export function ForkSheet({ run, timeline, graph, step, onClose }: Props) {
  const t = useT()
  const go = useNavigate()
  const begun = timeline.steps.map((one) => one.node)
  const [node, setNode] = useState(step && begun.includes(step) ? step : (begun.at(-1) ?? ''))
  const [text, setText] = useState(() => JSON.stringify(run.variables ?? {}, null, 2))
  const [owns, setOwns] = useState(false)
  const variables = read(text)
  const before = begun.indexOf(node)
  const send = useMutation<Execution, ApiProblem>({
    mutationFn: () =>
      fork(run.execution_id, {
        node_id: node,
        variables: changed(run.variables ?? {}, variables ?? {}),
        owns_undo: owns,
      }),
    onSuccess: (made) => {
      onClose()
      toast(t('Forked: this is the new run'))
      void go({ to: '/runs/$id', params: { id: made.execution_id } })
    },
  })
  return (
    <Sheet
      title={t('Fork this run')}
      open
      onClose={onClose}
      side
      foot={
        <>
          <Button look="ghost" onPress={onClose}>
            {t('Back')}
          </Button>
          <Button
            look="primary"
            icon="switch"
            busy={send.isPending}
            isDisabled={!variables || !node}
            onPress={() => send.mutate()}
          >
            {t('Fork')}
          </Button>
        </>
      }
    >
      <p>
        {t(
          'A new run begins at this step. What was recorded before it is taken over and not done again; from there on everything is done anew, for real. This run stays as it is.',
        )}
      </p>
      <Choice
        label={t('Begin at')}
        hint={t(
          '{n, plural, =0 {Nothing is taken over.} one {# step before it is taken over.} other {# steps before it are taken over.}}',
          { n: Math.max(0, before) },
        )}
        value={node}
        onChange={setNode}
        options={begun.map((one) => {
          const name = nodeAt(graph, one)?.name
          return { value: one, text: name ? `${name} (${one})` : one }
        })}
      />
      <Text
        label={t('Variables of the new run')}
        hint={t('As JSON. What you change here is otherwise from the beginning of the new run.')}
        error={variables ? undefined : t('This is no JSON object.')}
        value={text}
        onChange={setText}
        lines={8}
        mono
      />
      <Check
        label={t('The new run undoes what it takes over')}
        hint={t('If it is rolled back. Else only this run can undo it.')}
        value={owns}
        onChange={setOwns}
      />
      {send.error && <Problem problem={send.error} inline />}
    </Sheet>
  )
}

function read(text: string): Record<string, unknown> | null {
  try {
    const value = text.trim() ? JSON.parse(text) : {}
    return value && typeof value === 'object' && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

/** Only changed variables are sent, so that a variable set later in the original run is not fixed. */
const changed = (was: Record<string, unknown>, is: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(is).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name])))

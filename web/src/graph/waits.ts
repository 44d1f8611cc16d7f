import type { EffectId, Execution, FormSchema, TaskItem } from '../api/schema'
import type { RunTimeline } from './timeline'

/** The name of a call in the API. */
export const effectName = (effect: EffectId): string =>
  `${effect.node}#${effect.call ?? 0}.${effect.gen ?? 0}${effect.role === 'undo' ? '/undo' : ''}`

/** The tasks of a run, from the run and its journal, for keys that cannot read the task inbox. */
export function waitsOf(run: Execution, timeline: RunTimeline): TaskItem[] {
  return (run.waits_for ?? []).flatMap((one): TaskItem[] => {
    if (one.run !== run.execution_id) return []
    const [node = '', rest = ''] = (one.node ?? one.effect ?? '').split('#')
    const step = timeline.steps.find((found) => found.node === node)
    const wait = step?.waits.findLast((found) => found.to === null)
    const input = (step?.input ?? {}) as {
      details?: Record<string, unknown>
      assignees?: unknown
      ask?: Record<string, unknown>
    }
    const base = {
      id: `${run.execution_id}/${one.effect ?? node}`,
      to: one.effect ?? node,
      run: run.execution_id,
      title: one.message ?? wait?.message ?? node,
      opened_at: wait?.from ?? Date.now(),
      deadline: wait?.until ?? null,
      approved_by: one.approved_by ?? wait?.by ?? [],
    }
    const call = step?.calls.find((found) => (found.effect.call ?? 0) === Number.parseInt(rest, 10))
    const tool = { node, tool: call?.name ?? '', ...(call ? { effect: call.effect } : {}) }
    switch (one.kind) {
      case 'human': {
        const ask = input.ask?.approval as { needed?: number } | undefined
        return [
          {
            ...base,
            kind: 'approval',
            details: {
              node,
              details: input.details ?? null,
              assignees: input.assignees,
              asks: { needed: ask?.needed ?? 1 },
            },
          },
        ]
      }
      case 'form': {
        const ask = input.ask?.form as { schema?: FormSchema } | undefined
        return [
          {
            ...base,
            kind: 'form',
            details: {
              node,
              details: input.details ?? null,
              asks: { form: ask?.schema ?? (one.form as FormSchema) ?? {} },
            },
          },
        ]
      }
      case 'customer':
        return [{ ...base, kind: 'question', details: { node } }]
      case 'approval':
        return [
          {
            ...base,
            kind: 'tool_approval',
            details: {
              ...tool,
              arguments: (call?.request ?? {}) as Record<string, unknown>,
              need: one.need ?? 1,
              from: one.from ?? [],
            },
          },
        ]
      case 'doubt':
        return [{ ...base, kind: 'doubt', details: tool }]
      default:
        return []
    }
  })
}

/** The node of a task. */
export const nodeOfItem = (item: TaskItem): string =>
  item.details.node ?? item.details.effect?.node ?? item.id.split('/')[1] ?? ''

/** The identity of a task, equal for the task inbox and the run, whose ids differ. A new approval changes it. */
export const questionOf = (item: TaskItem): string =>
  [
    item.run,
    item.kind,
    item.details.effect ? effectName(item.details.effect) : nodeOfItem(item),
    item.approved_by?.length ?? 0,
  ].join('/')

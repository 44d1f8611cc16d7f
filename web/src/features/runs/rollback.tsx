import type { Graph, Undone as One, PlannedUndo } from '../../api/schema'
import { nodeAt } from '../../graph/graph-view'
import { useT } from '../../i18n'
import { Icon } from '../../ui/icon'
import css from './rollback.module.css'

const cannot = /^cannot be undone:\s*/

/** Whether a planned step cannot be undone, and only states why. */
export const isIrreversible = (one: PlannedUndo): boolean => cannot.test(one.undo)

/** A step's name in its workflow. */
export const nameIn = (graph: Graph | undefined, node: string): string => nodeAt(graph, node)?.name ?? node

interface Props {
  plan: readonly PlannedUndo[]
  graph: Graph | undefined
  /** Nothing is undone: the list shows the remaining effects. */
  keep?: boolean
}

/** The rollback plan: what is undone, in order, and what cannot be. */
export function Plan({ plan, graph, keep }: Props) {
  const t = useT()
  return (
    <ol className={css.plan}>
      {plan.map((one) => (
        <li key={`${one.node}/${one.tool}/${one.undo}`}>
          <Icon
            name={keep || isIrreversible(one) ? 'skip' : 'undo'}
            size={14}
            className={keep || isIrreversible(one) ? 'dim' : 'undo-c'}
          />
          {keep ? (
            <span>
              {nameIn(graph, one.node)} <span className="mono dim">{one.tool}</span>
            </span>
          ) : isIrreversible(one) ? (
            <span className="mid">
              <b>{nameIn(graph, one.node)}</b> {t('stays')}: {one.undo.replace(cannot, '')}
            </span>
          ) : (
            <span>
              {t('Undo {step}', { step: nameIn(graph, one.node) })}
              <span className="dim"> {t('by')} </span>
              <span className="mono mid">{one.undo}</span>
            </span>
          )}
        </li>
      ))}
    </ol>
  )
}

const signs: Record<string, { icon: 'undo' | 'err' | 'skip'; tone: string }> = {
  undone: { icon: 'undo', tone: 'undo-c' },
  not_undone: { icon: 'err', tone: 'bad-c' },
}

/** The result of the rollback for each effect of a run. */
export function Undone({ undone, graph }: { undone: One[]; graph: Graph | undefined }) {
  const t = useT()
  const words: Record<string, string> = {
    undone: t('undone'),
    not_undone: t('not undone'),
    irreversible: t('cannot be undone'),
    kept: t('stays'),
  }
  return (
    <ol className={css.plan}>
      {undone.map((one) => {
        const sign = signs[one.state] ?? { icon: 'skip', tone: 'dim' }
        return (
          <li key={`${one.node}/${one.tool}`}>
            <Icon name={sign.icon} size={14} className={sign.tone} />
            <span>
              {nameIn(graph, one.node)} <span className="mono dim">{one.tool}</span>
            </span>
            <span className="push mid">
              {words[one.state] ?? one.state}
              {one.reason ? `: ${one.reason}` : ''}
            </span>
          </li>
        )
      })}
    </ol>
  )
}

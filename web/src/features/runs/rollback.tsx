import type { Undone as One, PlannedUndo } from '../../api/schema'
import { useT } from '../../i18n'
import { Icon } from '../../ui/icon'
import css from './rollback.module.css'

const cannot = /^cannot be undone:\s*/

/** Whether a planned step only says why it stays. */
export const stays = (one: PlannedUndo): boolean => cannot.test(one.undo)

/** What would be undone, in order, and what cannot be. */
export function Plan({ plan }: { plan: PlannedUndo[] }) {
  const t = useT()
  return (
    <ol className={css.plan}>
      {plan.map((one) => (
        <li key={`${one.node}/${one.tool}/${one.undo}`}>
          <Icon name={stays(one) ? 'skip' : 'undo'} size={14} className={stays(one) ? 'dim' : 'undo-c'} />
          {stays(one) ? (
            <span className="mid">
              <b>{one.node}</b> {t('stays')}: {one.undo.replace(cannot, '')}
            </span>
          ) : (
            <span>
              {t('Undo {step}', { step: one.node })}
              <span className="dim"> {t('by')} </span>
              <span className="mono mid">{one.undo}</span>
            </span>
          )}
        </li>
      ))}
    </ol>
  )
}

/** What was undone, of a run that was rolled back. */
export function Undone({ undone }: { undone: One[] }) {
  const t = useT()
  const words: Record<string, string> = {
    undone: t('undone'),
    not_undone: t('not undone'),
    irreversible: t('cannot be undone'),
    kept: t('stays'),
  }
  return (
    <ol className={css.plan}>
      {undone.map((one) => (
        <li key={`${one.node}/${one.tool}`}>
          <Icon
            name={one.state === 'undone' ? 'undo' : one.state === 'not_undone' ? 'err' : 'skip'}
            size={14}
            className={one.state === 'undone' ? 'undo-c' : one.state === 'not_undone' ? 'bad-c' : 'dim'}
          />
          <span>
            {one.node} <span className="mono dim">{one.tool}</span>
          </span>
          <span className="push mid">
            {words[one.state] ?? one.state}
            {one.reason ? `: ${one.reason}` : ''}
          </span>
        </li>
      ))}
    </ol>
  )
}

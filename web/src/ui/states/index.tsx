import type { ReactNode } from 'react'
import { Problem as Said } from '../../api/problem'
import { useT } from '../../i18n'
import { Button } from '../button'
import { useLasting } from '../clock'
import { Icon } from '../icon'
import { CodeText } from '../words'
import css from './states.module.css'

/** Nothing for 150 ms, then lines at the height of the real rows. */
export function Skeleton({ rows = 8, height = 36 }: { rows?: number; height?: number }) {
  const t = useT()
  const late = useLasting(true, 150)
  if (!late) return <div className={css.skeleton} aria-busy="true" />
  return (
    <div className={css.skeleton} role="status" aria-busy="true" aria-label={t('Loading')}>
      {Array.from({ length: rows }, (_, i) => (
        <i key={i} style={{ height }}>
          <b style={{ width: `${[62, 48, 71, 55][i % 4]}%` }} />
        </i>
      ))}
    </div>
  )
}

/** One sentence saying what will appear, one action that makes it appear. */
export function Empty({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className={css.empty}>
      <p>{children}</p>
      {action}
    </div>
  )
}

/** Beside what failed: what happened, what to do, an id to hand on. */
export function Problem({
  problem,
  onRetry,
  inline,
}: {
  problem: Error
  onRetry?: (() => void) | undefined
  inline?: boolean
}) {
  const t = useT()
  const said = problem instanceof Said ? problem : null
  const text =
    said?.code === 'UNREACHABLE'
      ? t('The server does not answer.')
      : said?.noRight
        ? t('This key may not do that.')
        : said?.detail || problem.message
  return (
    <div className={`${css.problem} ${inline ? css.inline : ''} ${said?.conflict ? css.refused : ''}`} role="alert">
      <Icon name={said?.noRight ? 'lock' : said?.conflict ? 'swap' : 'warn'} />
      <div className={css.words}>
        <p>
          <CodeText>{text}</CodeText>
        </p>
        {said?.noRight && said.detail && <p className="mid">{said.detail}</p>}
        {said?.hint && <p className="mid">{said.hint}</p>}
        {said && said.code !== 'UNREACHABLE' && (
          <p className="mono dim">
            {said.code}
            {said.run ? ` · ${said.run}` : ''}
          </p>
        )}
      </div>
      {onRetry && !said?.noRight && (
        <Button small onPress={onRetry}>
          {t('Try again')}
        </Button>
      )}
    </div>
  )
}

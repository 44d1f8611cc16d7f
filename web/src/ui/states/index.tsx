import type { ReactNode } from 'react'
import { Problem as ApiProblem } from '../../api/problem'
import { useT } from '../../i18n'
import { Button } from '../button'
import { useLasting } from '../clock'
import { CodeText } from '../code-text'
import { Icon } from '../icon'
import css from './states.module.css'

/** Nothing for 150 ms, then placeholder lines at the height of the real rows. */
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

/** An empty state: one sentence on what will appear, and one action that creates it. */
export function Empty({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className={css.empty}>
      <p>{children}</p>
      {action}
    </div>
  )
}

/** An error beside what failed: what happened, what to do, and an id for support. */
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
  const apiProblem = problem instanceof ApiProblem ? problem : null
  const text =
    apiProblem?.code === 'UNREACHABLE'
      ? t('The server does not answer.')
      : apiProblem?.noRight
        ? t('This key may not do that.')
        : apiProblem?.detail || problem.message
  return (
    <div
      className={`${css.problem} ${inline ? css.inline : ''} ${apiProblem?.conflict ? css.refused : ''}`}
      role="alert"
    >
      <Icon name={apiProblem?.noRight ? 'lock' : apiProblem?.conflict ? 'swap' : 'warn'} />
      <div className={css.words}>
        <p>
          <CodeText>{text}</CodeText>
        </p>
        {apiProblem?.noRight && apiProblem.detail && <p className="mid">{apiProblem.detail}</p>}
        {apiProblem?.hint && <p className="mid">{apiProblem.hint}</p>}
        {apiProblem && apiProblem.code !== 'UNREACHABLE' && (
          <p className="mono dim">
            {apiProblem.code}
            {apiProblem.run ? ` · ${apiProblem.run}` : ''}
          </p>
        )}
      </div>
      {onRetry && !apiProblem?.noRight && (
        <Button small onPress={onRetry}>
          {t('Try again')}
        </Button>
      )}
    </div>
  )
}

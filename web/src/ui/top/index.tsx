import type { ReactNode } from 'react'
import css from './top.module.css'

/** The bar of a screen: where we are at the left, what can be done at the right. */
export function Top({ children, actions }: { children: ReactNode; actions?: ReactNode }) {
  return (
    <header className={css.top}>
      <div className={css.crumb}>{children}</div>
      {actions && <div className={css.actions}>{actions}</div>}
    </header>
  )
}
export const Slash = () => (
  <span className={css.slash} aria-hidden="true">
    /
  </span>
)
